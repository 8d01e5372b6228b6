// The form of a new job and of one that is edited.

import { $, change, el, notice, read, say } from "./parts.js";

const FIELDS = ["name", "command", "cronExpr"];
let editing = null; // the name of the job that is edited; null for a new one
let opened = {}; // what the fields held then
let saved = () => {};
let previewed = 0; // how many previews were asked for: an answer to an older one is dropped

function mark(field, message) {
  const input = $(`edit-${field}`);
  input.classList.toggle("is-invalid", message !== "");
  input.setAttribute("aria-invalid", message !== "");
  $(`edit-${field}-error`).textContent = message;
}

/** Opens the form of a job, or of a new one; `then` is called when it was saved. */
export async function openEdit(name, then) {
  const job = name === null ? { name: "", command: "", cronExpr: "" } : await read("/api/v1/job", { name });
  saved = then;
  editing = name;
  $("edit-title").textContent = name === null ? "New job" : "Edit job";
  opened = job;
  for (const field of FIELDS) {
    $(`edit-${field}`).value = job[field];
    mark(field, "");
  }
  $("edit-name").readOnly = name !== null;
  $("edit-name-help").hidden = name !== null;
  say("edit-error", "");
  preview();
  $("edit").showModal();
  $(name === null ? "edit-name" : "edit-command").focus();
}

async function preview() {
  const question = ++previewed;
  const expr = $("edit-cronExpr").value;
  if (expr.trim() === "") {
    $("preview").replaceChildren();
    mark("cronExpr", "");
    return true;
  }
  let answer;
  try {
    answer = await read("/api/v1/schedule", { expr, name: $("edit-name").value });
  } catch {
    return true; // saving will tell
  }
  if (question !== previewed) return !answer.error;
  mark("cronExpr", answer.error?.message ?? "");
  $("preview").replaceChildren(...(answer.error ? mistake(expr, answer.error) : meaning(answer)));
  return !answer.error;
}

function meaning({ description, next, timeZone }) {
  const inZone = new Intl.DateTimeFormat(undefined, {
    weekday: "short", year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit", timeZone,
  });
  const times = next.map((iso) => el("li", {}, el("time", { dateTime: iso }, inZone.format(new Date(iso)))));
  return [
    el("div", { className: "fw-semibold" }, description),
    next.length === 0
      ? el("div", { className: "text-warning-emphasis" }, "It never runs again: its years have passed.")
      : el("ol", { className: "small text-body-secondary mb-0 ps-4" }, ...times),
  ];
}

function mistake(expr, { offset, length, suggestion }) {
  const characters = [...expr];
  const [head, wrong, tail] = [characters.slice(0, offset), characters.slice(offset, offset + length), characters.slice(offset + length)]
    .map((part) => part.join(""));
  const line = el("div", { className: "mistake" }, head, el("mark", {}, wrong || "\u00a0"), tail);
  if (!suggestion) return [line];
  const use = el("button", { type: "button", className: "btn btn-sm btn-link px-0", onclick: () => {
    $("edit-cronExpr").value = head + suggestion + tail;
    $("edit-cronExpr").focus();
    preview();
  } }, `Use ${suggestion}`);
  return [line, use];
}

let previewTimer = null;
$("edit-cronExpr").addEventListener("input", () => {
  clearTimeout(previewTimer);
  previewTimer = setTimeout(preview, 250);
});
for (const field of ["name", "command"]) $(`edit-${field}`).addEventListener("input", () => mark(field, ""));

// Esc throws nothing away that was written, unless it is pressed twice.
$("edit").addEventListener("cancel", (event) => {
  const changed = FIELDS.some((field) => $(`edit-${field}`).value !== opened[field]);
  if (!changed || !event.cancelable || !$("edit-error").hidden) return;
  event.preventDefault();
  say("edit-error", "What you wrote is not saved. Save it, or press Esc again to throw it away.");
});

/** Shows each mistake at its field; returns whether there is none. */
async function check(job) {
  const missing = { name: "Write a name.", command: "Write the line to run.", cronExpr: "Write when it runs, such as 0 3 * * * for 03:00 every day." };
  for (const field of FIELDS) mark(field, job[field].trim() === "" ? missing[field] : "");
  if (job.cronExpr.trim() !== "") await preview();
  if (editing === null && job.name !== "") {
    try {
      await read("/api/v1/job", { name: job.name });
      mark("name", "A job of this name exists; edit it, or choose another name.");
    } catch (error) {
      if (error.status === 400) mark("name", error.message);
    }
  }
  return FIELDS.every((field) => !$(`edit-${field}`).classList.contains("is-invalid"));
}

$("edit-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  clearTimeout(previewTimer);
  const job = Object.fromEntries(FIELDS.map((field) => [field, $(`edit-${field}`).value]));
  const save = event.submitter ?? $("edit-form").querySelector("[type=submit]");
  save.disabled = true;
  say("edit-error", "");
  try {
    if (await check(job)) {
      await change("/job/save", { job: JSON.stringify(job) });
      notice(editing === null ? `${job.name} is created.` : `${job.name} is saved.`);
      $("edit").close();
      saved();
    }
  } catch (error) {
    const [, field, message] = error.message.match(/^(name|command|cronExpr): (.*)$/s) ?? [null, null, error.message];
    if (field) mark(field, message);
    else say("edit-error", message);
  } finally {
    save.disabled = false;
  }
  $("edit-form").querySelector(".is-invalid")?.focus();
});
