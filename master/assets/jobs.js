// The table of jobs. A row stays where it is, and keeps its focus, while what it says changes.

import { $, OUTCOMES, SKIPPED, ago, badge, clock, el, outcomeBadge, ticking, until } from "./parts.js";

/** @typedef {{ runs, suspend, kill, edit, remove }} Actions Each is called with a job of `/api/v1/jobs`. */

const rows = new Map(); // name -> { row, update }

/**
 * Shows these jobs and no others.
 * @param {object[]} jobs of `/api/v1/jobs`
 * @param {Actions} actions
 */
export function showRows(jobs, actions) {
  const body = $("rows");
  const focused = [...body.children].findIndex((row) => row.contains(document.activeElement));
  const shown = new Set(jobs.map((job) => job.name));
  for (const [name, { row }] of rows) {
    if (!shown.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  jobs.forEach((job, i) => {
    if (!rows.has(job.name)) rows.set(job.name, makeRow(job.name, actions));
    const { row, update } = rows.get(job.name);
    update(job);
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
  });
  if (focused >= 0 && document.activeElement === document.body) focusRow(focused);
}

/** After what had the focus is gone: on what took its place. */
function focusRow(index) {
  const row = $("rows").children[Math.min(index, rows.size - 1)];
  (row?.querySelector("button:not([hidden])") ?? $("search-text")).focus();
}

function makeRow(name, actions) {
  const cell = (label) => el("td", label ? { "data-label": label } : {});
  const cells = [cell(), cell("Schedule"), cell("Last run"), cell("Next run"), cell()];
  let job = null;
  const button = (text, kind, what) =>
    el("button", { type: "button", className: `btn btn-sm btn-outline-${kind}`, "aria-label": `${text} ${name}`, onclick: () => what(job) }, text);
  // It comes and goes, so it stands where it moves none of the others.
  const buttons = {
    kill: button("Kill", "danger", actions.kill),
    runs: button("Runs", "secondary", actions.runs),
    edit: button("Edit", "secondary", actions.edit),
    suspend: button("Suspend", "secondary", actions.suspend),
    remove: button("Delete", "secondary", actions.remove),
  };
  cells[4].append(el("div", { className: "actions" }, ...Object.values(buttons)));
  let before = "";
  const update = (now) => {
    job = now;
    const text = JSON.stringify(job);
    if (text === before) return;
    before = text;
    cells[0].replaceChildren(...jobCell(job));
    cells[1].replaceChildren(scheduleCell(job));
    cells[2].replaceChildren(lastCell(job));
    cells[3].replaceChildren(nextCell(job));
    const verb = job.suspended ? "Resume" : "Suspend";
    buttons.suspend.textContent = verb;
    buttons.suspend.setAttribute("aria-label", `${verb} ${name}`);
    const had = document.activeElement;
    buttons.edit.hidden = buttons.remove.hidden = !job.editable;
    buttons.suspend.hidden = !job.editable || job.state === "invalid";
    buttons.kill.hidden = job.activeCount === 0;
    if (had.hidden && cells[4].contains(had)) buttons.runs.focus();
  };
  return { row: el("tr", {}, ...cells), update };
}

function stateBadge(job) {
  if (job.state === "invalid") return badge("danger", "Invalid");
  if (job.activeCount > 0) {
    const running = badge("primary", job.activeCount > 1 ? `${job.activeCount} running` : "Running");
    running.classList.add("running");
    return running;
  }
  return job.suspended ? null : el("span", { className: "sub" }, "Idle");
}

/** Where a job is written, and so where it is changed if not here. */
function origin({ owner, editable, name }) {
  if (owner === null) return null;
  const { manifest, resource } = owner;
  const own = resource && `${resource.namespace}/${resource.name}`;
  const where = manifest ? (manifest.path === "-" ? "standard input" : manifest.path)
    : resource ? (own === name ? "its NodeCronJob" : `NodeCronJob ${own}`)
      : "another program";
  return el("div", { className: "sub" }, editable ? `from ${where}` : `from ${where}; change it there`);
}

function jobCell(job) {
  return [
    el("div", { className: "d-flex flex-wrap align-items-center gap-2" },
      el("span", { className: "name" }, job.name), stateBadge(job), job.suspended ? badge("warning", "Suspended") : null),
    el("div", { className: "sub command clamp", title: job.command }, job.command + (job.commandCut ? "…" : "")),
    origin(job),
  ].filter((part) => part !== null);
}

function scheduleCell(job) {
  if (!job.schedule) {
    return el("div", {},
      el("div", { className: "text-danger-emphasis" }, job.message),
      el("code", { className: "sub" }, job.cronExpr));
  }
  return el("div", {},
    el("div", { className: "clamp", title: job.schedule.description }, job.schedule.description),
    el("code", { className: "sub" }, job.schedule.text));
}

function lastCell(job) {
  const { recent, lastSkipped } = job.status;
  if (recent.length === 0) {
    return el("div", {},
      el("span", { className: "text-body-secondary" }, "never"),
      lastSkipped ? el("div", { className: "sub" }, `skipped: ${SKIPPED[lastSkipped.reason] ?? lastSkipped.reason}`) : null);
  }
  const counts = Object.keys(OUTCOMES)
    .map((outcome) => [outcome, recent.filter((run) => run.outcome === outcome).length])
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${OUTCOMES[outcome][1].toLowerCase()}`);
  const summary = `Last ${recent.length} ${recent.length === 1 ? "run" : "runs"}: ${counts.join(", ")}`;
  const bars = recent.toReversed().map((run) => el("span", { className: run.outcome }));
  return el("div", {},
    el("div", { className: "d-flex flex-wrap align-items-center gap-2" }, outcomeBadge(recent[0].outcome), ticking(recent[0].ended, ago)),
    el("div", { className: "recent", title: summary, role: "img", "aria-label": summary }, ...bars));
}

function nextCell(job) {
  if (job.next) {
    return el("div", {},
      el("div", {}, ticking(job.next, until)),
      el("div", { className: "sub" }, clock(job.next)),
      job.message ? el("div", { className: "sub" }, job.message) : null);
  }
  const why = job.state === "invalid" ? "never" : job.suspended ? "when it is resumed" : "never again";
  return el("span", { className: "text-body-secondary" }, why);
}
