// The live workers: how many, and which.

import { $, ago, el, read, say, ticking } from "./parts.js";

/** Asks for them, and shows their number and, if the list is open, the list. */
export async function refreshWorkers() {
  const { workers } = await read("/api/v1/workers");
  const colour = workers.length === 0 ? "text-bg-danger" : "text-bg-secondary";
  $("show-workers").replaceChildren("Workers ", el("span", { className: `badge ${colour}` }, workers.length.toLocaleString()));
  if (!$("workers").open) return;
  const none = "No worker is alive, so nothing runs. Start one: crontab-worker, or on one machine cronctl up.";
  say("workers-note", workers.length === 0 ? none : "");
  const items = workers.map(workerItem);
  // Times tick by themselves.
  if ($("workers-list").textContent !== items.map((item) => item.textContent).join("")) $("workers-list").replaceChildren(...items);
}

function workerItem({ address, node, version, since }) {
  return el("li", { className: "list-group-item" },
    el("div", { className: "d-flex flex-wrap justify-content-between gap-2" },
      el("strong", { className: "text-break" }, node ?? address),
      since ? el("span", { className: "text-body-secondary" }, "started ", ticking(since, ago)) : null),
    el("div", { className: "small text-body-secondary text-break" },
      node === null ? "a worker of the replaced system" : address === node ? `version ${version}` : `${address} · version ${version}`));
}

$("show-workers").addEventListener("click", () => {
  say("workers-note", "Loading…");
  $("workers-list").replaceChildren();
  $("workers").showModal();
  refreshWorkers().catch((error) => say("workers-note", error.message));
});
