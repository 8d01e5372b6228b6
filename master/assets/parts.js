// What the parts of the page share: building elements, telling times, asking the server.
// Whatever comes from the server is put into the document as text, never as HTML.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; strings become text. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const OUTCOMES = {
  Succeeded: ["success", "Succeeded"],
  Failed: ["danger", "Failed"],
  TimedOut: ["warning", "Timed out"],
  Killed: ["secondary", "Killed"],
  Lost: ["danger", "Lost"],
};

/** Why a slot did not run. */
export const SKIPPED = {
  Overlap: "an earlier run had not ended",
  Deadline: "its starting deadline had passed",
  Suspended: "the job was suspended",
  Missed: "nothing could run it in time",
  ClockSet: "the clock was set back, and the job went on from there",
};

export const badge = (colour, text) =>
  el("span", { className: `badge bg-${colour}-subtle text-${colour}-emphasis border border-${colour}-subtle` }, text);
export const outcomeBadge = (outcome) => badge(...(OUTCOMES[outcome] ?? ["secondary", outcome]));

/** Shows a message, or hides its place where there is none. */
export function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = text === "";
}

/** Tells of a success for a few seconds; a failure stays until it is closed. */
export function notice(text, kind = "success") {
  const line = el("div", { className: `alert alert-${kind} shadow-sm mb-0 py-2 d-flex gap-2` }, el("span", { className: "text-break me-auto" }, text));
  if (kind === "success") setTimeout(() => line.remove(), 6000);
  else line.append(el("button", { type: "button", className: "btn-close", "aria-label": "Close", onclick: () => line.remove() }));
  $("notices").append(line);
}

// ---- Times

let skew = 0; // the server's clock minus ours
export const setServerTime = (iso) => { skew = Date.parse(iso) - Date.now(); };
export const now = () => Date.now() + skew;
export const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const year = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** An instant as short as it is clear, beside today. */
export function clock(iso) {
  const [then, today] = [new Date(iso), new Date(now())];
  if (then.toDateString() === today.toDateString()) return time.format(then);
  return (then.getFullYear() === today.getFullYear() ? day : year).format(then);
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round((now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

export function until(ms) {
  const seconds = Math.ceil((ms - now()) / 1000);
  if (seconds <= 0) return "now";
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d > 2) return `in ${d} days`;
  if (d > 0) return `in ${d} d ${h} h`;
  if (h > 0) return `in ${h} h ${m} min`;
  if (m > 0) return `in ${m} min ${s} s`;
  return `in ${s} s`;
}

export function duration(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

/** A time that stays right: `tell` is asked again each second. */
export function ticking(iso, tell) {
  const element = el("time", { className: "countdown", dateTime: iso, title: `${whole.format(new Date(iso))} (${iso})` });
  element.tell = () => tell(Date.parse(iso));
  element.textContent = element.tell();
  return element;
}

/** Keeps them right, and says when one of them has come. */
export function tick(come) {
  setInterval(() => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("time.countdown")) {
      const text = element.tell();
      if (element.textContent === text) continue;
      element.textContent = text;
      if (text === "now") come();
    }
  }, 1000);
}

// ---- Asking the server

/** The server did not answer, or something that is not it did. */
export class Away extends Error {}

export async function ask(path, parameters = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null)).toString();
  let response;
  try {
    response = await fetch(query ? `${path}?${query}` : path, { signal: AbortSignal.timeout(20000), ...options });
  } catch {
    throw new Away("The server does not answer; is it running?");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  const error = new Error(answer?.error?.message ?? `The server answered with status ${response.status}.`);
  error.status = response.status;
  throw error;
}

export const read = async (path, parameters) => {
  const response = await ask(path, parameters);
  try {
    return await response.json();
  } catch {
    throw new Away("The server stopped in the middle of an answer.");
  }
};

/** Suspends a job, or resumes it. */
export const suspend = (name, wanted) => ask("/api/v1/job", { name }, {
  method: "PATCH",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ suspend: wanted }),
});

/** A legacy call; throws its message. */
export async function change(path, form) {
  const response = await ask(path, {}, { method: "POST", body: new URLSearchParams(form) });
  const answer = await response.json();
  if (answer.errno !== 0) throw new Error(answer.msg);
  return answer.data;
}
