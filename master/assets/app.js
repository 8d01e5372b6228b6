// The page: a list of jobs that is asked for every few seconds while somebody looks, and what can be done with one.

import { openEdit } from "./edit.js";
import { showRows } from "./jobs.js";
import { openLog, refreshLog, tellLog } from "./log.js";
import { $, Away, change, notice, read, say, setServerTime, suspend, tick, whole } from "./parts.js";
import { refreshWorkers } from "./workers.js";

const POLL_MS = 5000;

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
    await Promise.all([refreshWorkers(), refreshLog()]);
    if (question !== asked) return;
    current = new Date();
    if (!$("away").hidden) notice("The server answers again.");
    $("away").hidden = true;
  } catch (error) {
    if (question !== asked) return;
    const [what, why] = error instanceof Away ? ["The server does not answer.", ""] : ["The server could not answer:", `${error.message}.`];
    const of = current === null ? "" : `What is shown is from ${current.toLocaleTimeString()}.`;
    away(what, [why, of, "Trying again every few seconds…"].filter(Boolean).join(" "));
    $("loading").hidden = true;
  }
  refreshed = Date.now();
  if (timer === null && !document.hidden) timer = setTimeout(refresh, POLL_MS);
}

/** Says so above the list, and in the log if that is in front of it. Written once: it is read aloud. */
function away(what, text) {
  tellLog(`${what} ${text}`);
  if (!$("away").hidden && $("away-what").textContent === what) return;
  $("away-what").textContent = what;
  $("away-text").textContent = text;
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
addEventListener("online", refresh);

function show(page) {
  // The last job of this page may have been deleted.
  if (page.jobs.length === 0 && pages.length > 1) {
    pages.pop();
    refreshSoon();
    return;
  }
  $("loading").hidden = true;
  $("table").hidden = page.jobs.length === 0;
  showRows(page.jobs, actions);
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
  if (total > 0 && $("none").contains(document.activeElement)) $("new-job").focus();
  $("none").hidden = total > 0;
  $("unmatched").hidden = total === 0 || matched > 0;
  $("unmatched-count").textContent = total === 1 ? "The one job there is has another name." : `${total.toLocaleString()} jobs have other names.`;
}

$("first-job").addEventListener("click", () => edit(null));
$("show-all").addEventListener("click", () => {
  $("search-text").value = "";
  startSearch();
  $("search-text").focus();
});

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

// ---- What can be done with a job

/** @type {import("./jobs.js").Actions} */
const actions = {
  runs: (job) => openLog(job.name),
  edit: (job) => edit(job.name),
  async suspend({ name, suspended }) {
    try {
      await suspend(name, !suspended);
      notice(suspended ? `${name} is resumed.` : `${name} is suspended. What runs goes on.`);
    } catch (error) {
      notice(`${name} stays as it is: ${error.message}`, "danger");
    }
    refresh();
  },
  remove: ({ name }) => confirm(`Delete ${name}?`, "It will not run again. A run that has not ended is killed. Its records stay.", "Delete", async () => {
    await change("/job/delete", { name });
    return `${name} is deleted.`;
  }),
  kill: ({ name }) => confirm(`Kill ${name}?`, "What runs now gets SIGTERM, and after its grace period SIGKILL. Later runs are not touched.", "Kill", async () => {
    await change("/job/kill", { name });
    return `${name} is asked to end.`;
  }),
};

const edit = (name) => openEdit(name, refresh).catch((error) => notice(`${name} can't be edited: ${error.message}`, "danger"));

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

// ---- The beginning

$("new-job").addEventListener("click", () => edit(null));
read("/healthz").then(({ version }) => { $("version").textContent = `Version ${version}`; }, () => {});
$("zone").textContent = whole.resolvedOptions().timeZone;
tick(refreshSoon);
refresh();
