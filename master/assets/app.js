// The page: a table of jobs that is asked for every few seconds while somebody looks.

import { openEdit } from "./edit.js";
import { openLog, refreshLog } from "./log.js";
import { $, Away, OUTCOMES, ago, badge, change, el, notice, outcomeBadge, read, say, setServerTime, tick, ticking, until, whole } from "./parts.js";

const POLL_MS = 5000;

const rows = new Map(); // name -> { row, update }
let search = "";
let pages = [null]; // what `after` was for each page up to the one shown
let timer = null;
let asked = 0;
let refreshed = 0;
let following = null; // what `after` is for the page after the one shown
let current = null; // when what is shown was true

async function refresh() {
  clearTimeout(timer);
  timer = null;
  const question = ++asked;
  try {
    const page = await read("/api/v1/jobs", { search, after: pages.at(-1) });
    if (question !== asked) return;
    setServerTime(page.now);
    show(page);
    await Promise.all([showWorkerCount(), refreshLog()]);
    if (question !== asked) return;
    current = new Date();
    $("away").hidden = true;
  } catch (error) {
    if (question !== asked) return;
    const of = current === null ? "" : ` What is shown is of ${current.toLocaleTimeString()}.`;
    const again = "Trying again every few seconds…";
    if (error instanceof Away) away("The server does not answer.", `${of} ${again}`);
    else away("The server could not answer:", `${error.message}.${of} ${again}`);
    $("loading").hidden = true;
  }
  refreshed = Date.now();
  if (timer === null && !document.hidden) timer = setTimeout(refresh, POLL_MS);
}

function away(what, text) {
  $("away").querySelector("strong").textContent = what;
  $("away").querySelector("span").textContent = text;
  $("away").hidden = false;
}

/** After a run became due; at most once in two seconds. */
function refreshSoon() {
  const wait = Math.max(700, refreshed + 2000 - Date.now());
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.min(wait, POLL_MS));
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
  } else {
    refresh();
  }
});

function show(page) {
  // The last job of this page may have been deleted.
  if (page.jobs.length === 0 && pages.length > 1) {
    pages.pop();
    refreshSoon();
    return;
  }
  $("loading").hidden = true;
  const body = $("rows");
  const shown = new Set(page.jobs.map((job) => job.name));
  for (const [name, { row }] of rows) {
    if (!shown.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  page.jobs.forEach((job, i) => {
    if (!rows.has(job.name)) rows.set(job.name, makeRow(job.name));
    const { row, update } = rows.get(job.name);
    update(job);
    // A row that stays where it is keeps its focus.
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
  });
  $("table").hidden = page.jobs.length === 0;
  const jobs = (n) => `${n.toLocaleString()} ${n === 1 ? "job" : "jobs"}`;
  const count = page.total === 0 ? "" : search ? `${page.matched.toLocaleString()} of ${jobs(page.total)}` : jobs(page.total);
  if ($("count").textContent !== count) $("count").textContent = count;
  showEmpty(page);
  $("pages").hidden = pages.length === 1 && page.next === null;
  $("previous").disabled = pages.length === 1;
  $("next").disabled = page.next === null;
  following = page.next;
}

function showEmpty({ total, matched }) {
  const none = $("none");
  none.hidden = matched > 0;
  if (matched > 0) return;
  const [title, text, button] = total === 0
    ? ["No jobs yet", "Create one here, or start with a manifest: cronctl up examples/. It then shows when it runs next, and what it wrote.", "New job"]
    : ["No job has this in its name", `${total.toLocaleString()} ${total === 1 ? "job has" : "jobs have"} other names.`, "Show all jobs"];
  none.querySelector("h2").textContent = title;
  none.querySelector("p").textContent = text;
  none.querySelector("button").textContent = button;
  none.querySelector("button").onclick = total === 0 ? () => edit(null) : () => {
    $("search-text").value = "";
    startSearch();
    $("search-text").focus();
  };
}

function button(text, label, kind, onclick) {
  return el("button", { type: "button", className: `btn btn-sm btn-outline-${kind}`, "aria-label": label, onclick }, text);
}

function makeRow(name) {
  const cell = (label) => el("td", label ? { "data-label": label } : {});
  const cells = [cell(), cell("Schedule"), cell("Last run"), cell("Next run"), cell()];
  const actions = {
    log: button("Runs", `Runs of ${name}`, "secondary", () => openLog(name)),
    kill: button("Kill", `Kill ${name}`, "danger", () => confirmKill(name)),
    edit: button("Edit", `Edit ${name}`, "secondary", () => edit(name)),
    remove: button("Delete", `Delete ${name}`, "secondary", () => confirmDelete(name)),
  };
  cells[4].append(el("div", { className: "actions" }, ...Object.values(actions)));
  let before = "";
  const update = (job) => {
    actions.kill.hidden = job.activeCount === 0;
    actions.edit.hidden = actions.remove.hidden = job.owner !== null;
    const text = JSON.stringify(job);
    if (text === before) return;
    before = text;
    cells[0].replaceChildren(...jobCell(job));
    cells[1].replaceChildren(...scheduleCell(job));
    cells[2].replaceChildren(...lastCell(job));
    cells[3].replaceChildren(...nextCell(job));
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
  return job.suspended ? badge("warning", "Suspended") : el("span", { className: "sub" }, "Idle");
}

const origin = (owner) => owner?.manifest?.path === "-" ? "standard input" : owner?.manifest?.path ?? "another program";

function jobCell(job) {
  return [
    el("div", { className: "d-flex flex-wrap align-items-center gap-2" }, el("span", { className: "name" }, job.name), stateBadge(job)),
    el("div", { className: "sub command clamp", title: job.command }, job.command + (job.commandCut ? "…" : "")),
    job.owner ? el("div", { className: "sub", title: "Edit it there and start again." }, `from ${origin(job.owner)}`) : null,
  ].filter(Boolean);
}

function scheduleCell(job) {
  if (!job.schedule) {
    return [el("div", {},
      el("div", { className: "text-danger-emphasis" }, job.message),
      el("code", { className: "sub" }, job.cronExpr))];
  }
  return [el("div", {},
    el("div", { className: "clamp", title: job.schedule.description }, job.schedule.description),
    el("code", { className: "sub" }, job.schedule.text))];
}

function lastCell(job) {
  const { recent, lastSkipped } = job.status;
  if (recent.length === 0) {
    const skipped = lastSkipped ? el("div", { className: "sub" }, `skipped: ${lastSkipped.reason}`) : null;
    return [el("div", {}, el("span", { className: "text-body-secondary" }, "never"), skipped)];
  }
  const counts = Object.keys(OUTCOMES)
    .map((outcome) => [outcome, recent.filter((run) => run.outcome === outcome).length])
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${OUTCOMES[outcome][1].toLowerCase()}`);
  const summary = `Last ${recent.length} ${recent.length === 1 ? "run" : "runs"}: ${counts.join(", ")}`;
  const bars = recent.toReversed().map((run) => el("span", { className: run.outcome }));
  return [
    el("div", {},
      el("div", { className: "d-flex flex-wrap align-items-center gap-2" }, outcomeBadge(recent[0].outcome), ticking(recent[0].ended, ago)),
      el("div", { className: "recent", title: summary, role: "img", "aria-label": summary }, ...bars)),
  ];
}

function nextCell(job) {
  if (job.next) return [ticking(job.next, until)];
  const why = job.state === "invalid" ? "never; edit it" : job.suspended ? "suspended" : "never again";
  return [el("span", { className: "text-body-secondary" }, why)];
}

const edit = (name) => openEdit(name, refresh).catch((error) => away("The job could not be read:", error.message));

function startSearch() {
  search = $("search-text").value.trim();
  pages = [null];
  refresh();
}

let typing = null;
$("search-text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(startSearch, 200);
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  startSearch();
});
$("next").addEventListener("click", () => turn(() => pages.push(following)));
$("previous").addEventListener("click", () => turn(() => pages.pop()));
function turn(page) {
  page();
  $("jobs").focus({ preventScroll: true });
  scrollTo(0, 0);
  refresh();
}

// ---- Deleting and killing

for (const close of document.querySelectorAll("[data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}

function confirm(title, text, action, doIt) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-do").textContent = action;
  $("confirm-do").disabled = false;
  say("confirm-error", "");
  $("confirm-do").onclick = async () => {
    $("confirm-do").disabled = true;
    try {
      notice(await doIt());
      $("confirm").close();
      refresh();
    } catch (error) {
      say("confirm-error", error.message);
      $("confirm-do").disabled = false;
    }
  };
  $("confirm").showModal();
}

function confirmDelete(name) {
  confirm(`Delete ${name}?`, "It will not run again. A run that has not ended is killed. Its records stay.", "Delete", async () => {
    await change("/job/delete", { name });
    return `${name} is deleted.`;
  });
}

function confirmKill(name) {
  confirm(`Kill ${name}?`, "What runs now gets SIGTERM, and after its grace period SIGKILL. Later runs are not touched.", "Kill", async () => {
    await change("/job/kill", { name });
    return `${name} is asked to end.`;
  });
}

// ---- Workers

async function showWorkerCount() {
  const { workers } = await read("/api/v1/workers");
  $("show-workers").replaceChildren("Workers ", el("span", { className: `badge ${workers.length ? "text-bg-secondary" : "text-bg-danger"}` }, String(workers.length)));
  return workers;
}

$("show-workers").addEventListener("click", async () => {
  say("workers-note", "Loading…");
  $("workers-list").replaceChildren();
  $("workers").showModal();
  try {
    const workers = await showWorkerCount();
    say("workers-note", workers.length === 0 ? "No worker is alive, so nothing runs. Start one: cronctl up, or crontab-worker." : "");
    $("workers-list").replaceChildren(...workers.map((worker) => el("li", { className: "list-group-item" },
      el("div", { className: "d-flex flex-wrap justify-content-between gap-2" },
        el("strong", { className: "text-break" }, worker.node ?? worker.address),
        worker.since ? el("span", { className: "text-body-secondary" }, "started ", ticking(worker.since, ago)) : null),
      el("div", { className: "small text-body-secondary text-break" },
        worker.node === null ? "a worker of the replaced system" : `${worker.address} · version ${worker.version}`))));
  } catch (error) {
    say("workers-note", error.message);
  }
});

// ---- The beginning

$("new-job").addEventListener("click", () => edit(null));
read("/healthz").then(({ version }) => { $("version").textContent = `Version ${version}`; }, () => {});
$("zone").textContent = whole.resolvedOptions().timeZone;
tick(refreshSoon);
refresh();
