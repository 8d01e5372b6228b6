// The runs of a job and what they wrote.

import { $, OUTCOMES, SKIPPED, ask, badge, duration, el, now, outcomeBadge, read, say, ticking, whole } from "./parts.js";

const RUNS_PAGE = 20;
const LARGEST_OUTPUT = 4 << 20;

let log = null; // what is open: { name, skip, chosen, picked: by hand, shown }

/** Opens the runs of a job. */
export async function openLog(name) {
  log = { name, skip: 0, chosen: null, picked: false, shown: "" };
  $("log-title").textContent = name;
  for (const id of ["log-about", "log-command", "output"]) $(id).textContent = "";
  for (const id of ["log-error", "output-message"]) say(id, "");
  $("runs").replaceChildren();
  $("runs-pages").hidden = $("skipped").hidden = $("output-link").hidden = true;
  $("log").showModal();
  try {
    await refreshLog();
  } catch (error) {
    say("log-error", error.message);
  }
}

$("log").addEventListener("close", () => { log = null; });
for (const [id, by] of [["newer", -RUNS_PAGE], ["older", RUNS_PAGE]]) {
  $(id).addEventListener("click", () => {
    log.skip = Math.max(0, log.skip + by);
    refreshLog().catch((error) => say("log-error", error.message));
  });
}

/** Says in the log, if it is open, that what it shows is not refreshed. */
export function tellLog(text) {
  if (log !== null) say("log-error", text);
}

/** Reads again what is open, if something is. */
export async function refreshLog() {
  const mine = log;
  if (mine === null) return;
  const [job, page] = await Promise.all([
    read("/api/v1/job", { name: mine.name }).catch((error) => { if (error.status === 404) return null; throw error; }),
    read("/api/v1/runs", { job: mine.name, skip: mine.skip, limit: RUNS_PAGE }),
  ]);
  if (log !== mine) return;
  say("log-error", "");
  $("log-about").textContent = job === null ? "This job was deleted; its records stay."
    : [job.schedule?.description ?? job.message, ...Object.entries(job.status.runs).map(([outcome, n]) => `${n.toLocaleString()} ${OUTCOMES[outcome][1].toLowerCase()}`)].join(" · ");
  if ($("log-command").textContent !== (job?.command ?? "")) $("log-command").textContent = job?.command ?? "";
  $("log-command").hidden = !job?.command;
  const active = mine.skip === 0 ? job?.active ?? [] : [];
  const shown = JSON.stringify([active, page, mine.skip]);
  if (shown === mine.shown) return;
  mine.shown = shown;
  showRuns(active, page);
}

const keyOf = (run) => `${run.run} ${run.attempt}`;

function showRuns(active, { runs, skipped }) {
  const focused = document.activeElement?.dataset?.run;
  const items = active.map((run) => {
    const running = badge("primary", "Running");
    running.classList.add("running");
    return el("div", { className: "list-group-item" },
      el("div", { className: "d-flex justify-content-between align-items-center gap-2" }, running, ticking(run.claimed, (ms) => `for ${duration(Math.floor((now() - ms) / 1000) * 1000)}`)),
      el("div", { className: "small text-body-secondary text-break" }, `on ${run.node}; its output is shown when it has ended`));
  });
  items.push(...runs.map(runItem));
  if (items.length === 0) {
    items.push(el("div", { className: "list-group-item text-body-secondary" }, log.skip > 0 ? "No older runs." : "No runs yet. The first appears here when it has ended."));
  }
  $("runs").replaceChildren(...items);
  if (focused) $("runs").querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
  $("runs-pages").hidden = log.skip === 0 && runs.length < RUNS_PAGE;
  $("newer").disabled = log.skip === 0;
  $("older").disabled = runs.length < RUNS_PAGE;

  $("skipped").hidden = skipped.length === 0;
  $("skipped").querySelector("summary").textContent = "Slots that did not run";
  $("skipped").querySelector("ul").replaceChildren(...skipped.map(skippedItem));

  // Until somebody picks a run, the latest is shown as it comes.
  if (!log.picked && runs.length > 0 && keyOf(runs[0]) !== log.chosen) choose(runs[0]);
}

function runItem(run) {
  const started = run.started ?? run.slot;
  const item = el("button", {
    type: "button",
    className: "list-group-item list-group-item-action",
    "data-run": keyOf(run),
    "aria-pressed": keyOf(run) === log.chosen,
    onclick: () => {
      log.picked = true;
      choose(run);
    },
  },
  el("span", { className: "d-flex justify-content-between align-items-center gap-2" },
    outcomeBadge(run.outcome),
    el("span", { className: "small text-body-secondary" }, run.started ? duration(Date.parse(run.ended) - Date.parse(run.started)) : "not started")),
  el("time", { className: "d-block small mt-1", dateTime: started, title: `slot ${run.slot}` }, whole.format(new Date(started))),
  el("span", { className: "d-block small text-body-secondary text-break" }, run.attempt > 0 ? `${run.node}, attempt ${run.attempt + 1}` : run.node));
  item.classList.toggle("active", keyOf(run) === log.chosen);
  return item;
}

function skippedItem({ from, to, count, reason }) {
  const when = (iso) => whole.format(new Date(iso));
  const span = from === to ? when(from) : `${when(from)} to ${when(to)}`;
  const many = count === null ? "many slots" : count === 1 ? "1 slot" : `${count.toLocaleString()} slots`;
  return el("li", {}, `${span}: ${many}, ${SKIPPED[reason] ?? reason}`);
}

async function choose(run) {
  const mine = log;
  mine.chosen = keyOf(run);
  for (const item of $("runs").querySelectorAll("[data-run]")) {
    const chosen = item.dataset.run === mine.chosen;
    item.classList.toggle("active", chosen);
    item.setAttribute("aria-pressed", chosen);
  }
  const exit = run.exitStatus !== null ? `exit status ${run.exitStatus}` : run.signal !== null ? `signal ${run.signal}` : "";
  say("output-message", run.message || (run.outcome === "Succeeded" ? "" : exit));
  const link = `/api/v1/runs/${run.run}?attempt=${run.attempt}`;
  $("output-link").href = link;
  $("output-link").hidden = false;
  $("output").textContent = "…";
  let text;
  try {
    const response = await ask(link);
    if (Number(response.headers.get("content-length")) > LARGEST_OUTPUT) {
      await response.body?.cancel();
      text = "(This output is large: open it as text.)";
    } else {
      text = await response.text();
    }
  } catch (error) {
    text = `(${error.message})`;
  }
  if (log === mine && mine.chosen === keyOf(run)) $("output").textContent = text === "" ? "(It wrote nothing.)" : text;
}
