"use strict";

const at = (id) => document.getElementById(id);
const state = {
  key: "", clockAhead: 0, heardAt: 0, resets: null, news: null, requests: [], isDrawn: true, stream: null,
  // Rules of one's own, which stay as switches when they are off.
  others: new Set(), ordered: new Set(), waiting: [],
};

const FAULTS = [
  ["The server is down", "*:503"],
  ["One call in five fails", "*:503@p=0.2/1"],
  ["Every call takes two seconds", "*:delay=2s"],
  ["Too many requests", "*:429=1"],
  ["Nothing can be settled", "commit,release:503"],
  ["Answers get lost", "reserve,commit,release,extend,event:lose-response"],
  ["No lease can be extended", "extend:503"],
  ["The key is not known", "*:401"],
];

const REQUESTS = 100;

// ---- Elements ----

function element(name, attributes = {}, ...children) {
  const isDrawing = name === "svg" || name === "rect" || name === "title";
  const made = isDrawing ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function set(place, attribute, value) {
  if (place.getAttribute(attribute) !== value) place.setAttribute(attribute, value);
}

// Shows one element for each item. An item that stays keeps its element, so that what is being clicked, focused or
// selected is not taken away; `update` writes only what has changed.
function show(place, items, keyOf, make, update) {
  const before = new Map([...place.children].map((shown) => [shown.dataset.key, shown]));
  let last = null;
  for (const item of items) {
    const key = keyOf(item);
    let shown = before.get(key);
    if (shown === undefined) {
      shown = make(item);
      shown.dataset.key = key;
    }
    before.delete(key);
    update(shown, item);
    const next = last === null ? place.firstElementChild : last.nextElementSibling;
    if (next !== shown) place.insertBefore(shown, next);
    last = shown;
  }
  for (const gone of before.values()) gone.remove();
}

// Amounts have up to 64 bits, and a number of JavaScript only 53.
function parsed(json) {
  return JSON.parse(json, (_, value, context) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
      ? BigInt(context.source) : value);
}

const number = (value) => value.toLocaleString("en");

function bar(className, names) {
  const drawn = element("svg", { class: className, viewBox: "0 0 100 1", preserveAspectRatio: "none", role: "img" });
  drawn.append(...names.map((name) => element("rect", { class: name, height: "1" })));
  return drawn;
}

function fill(drawn, label, values, total) {
  set(drawn, "aria-label", label);
  let from = 0;
  values.forEach((value, place) => {
    const width = total > 0 ? Math.min(100 - from, Math.max(0, (Number(value) / total) * 100)) : 0;
    set(drawn.children[place], "x", from.toFixed(2));
    set(drawn.children[place], "width", width.toFixed(2));
    from += width;
  });
}

// ---- What is shown ----

function makeBudget(it) {
  return element("li", {},
    element("div", { class: "row" },
      element("bdi", { class: "name" }, it.scope),
      element("span", {}, element("span", { class: "bad" }), element("span"))),
    bar("bar", ["spent", "reserved", "debt"]),
    element("div", { class: "quiet" }));
}

function updateBudget(shown, it) {
  const [row, drawn, detail] = shown.children;
  const label = `spent ${number(it.spent)}, reserved ${number(it.reserved)}, remaining ${number(it.remaining)} of ${number(it.allocated)} ${it.unit}`
    + (it.debt > 0 ? `, debt ${number(it.debt)} of at most ${number(it.overdraft_limit)}` : "");
  const notes = [it.status === "ACTIVE" ? "" : it.status, it.is_over_limit ? "OVER LIMIT" : ""].join(" ").trim();
  const taken = Number(it.spent) + Number(it.reserved) + Number(it.debt);
  const [note, rest] = row.lastElementChild.children;
  write(note, notes);
  write(rest, ` ${number(it.remaining)} of ${number(it.allocated)} ${it.unit}`);
  fill(drawn, label, [it.spent, it.reserved, it.debt], Math.max(Number(it.allocated), taken));
  write(detail, label);
}

function makeSwitch({ name, rule }) {
  const made = element("button", { type: "button", role: "switch", "data-rule": rule },
    element("span", {}, ...(name ? [name, " ", element("code", { class: "quiet" }, rule)] : [element("code", {}, rule)])),
    element("span", { class: "quiet" }));
  made.addEventListener("click", async () => {
    // One order at a time: a second click before the first one is seen would add the rule twice.
    if (state.ordered.has(rule)) return;
    state.ordered.add(rule);
    await (made.getAttribute("aria-checked") === "true"
      ? order(`faults?rule=${encodeURIComponent(rule)}`, "DELETE")
      : order("faults", "POST", { rules: [rule] }));
    await nextState();
    state.ordered.delete(rule);
  });
  return element("li", {}, made);
}

function updateSwitch(shown, { active }) {
  const made = shown.firstElementChild;
  set(made, "aria-checked", String(active !== undefined));
  write(made.lastElementChild, active ? `struck ${number(active.struck)} of ${number(active.calls)}` : "");
}

function switches(active) {
  for (const { rule } of active) {
    if (!FAULTS.some(([, known]) => known === rule)) state.others.add(rule);
  }
  const all = [...FAULTS, ...[...state.others].map((rule) => [null, rule])];
  return all.map(([name, rule]) => ({ name, rule, active: active.find((fault) => fault.rule === rule) }));
}

function makeLive(it) {
  const lease = element("td", {}, bar("lease", ["left", "grace"]), element("span"));
  return element("tr", {}, lease,
    element("td", { class: "path" }, element("bdi", {}, it.scopes.at(-1) ?? "")),
    element("td", { class: "path" }, element("bdi", {}, it.action.kind), " ", element("bdi", {}, it.action.name)),
    element("td", { class: "number" }, `${number(it.estimate.amount)} ${it.estimate.unit}`),
    element("td", { class: "number" }),
    element("td", { class: "path" }, it.reservation_id));
}

function updateLive(shown, it) {
  const [drawn, text] = shown.children[0].children;
  const now = Date.now() + state.clockAhead;
  const left = it.expires_at_ms - now;
  const whole = Math.max(1, it.expires_at_ms - it.created_at_ms);
  const label = left > 0 ? `${(left / 1000).toFixed(1)} s` : now <= it.grace_ends_at_ms ? "in its grace period" : "ended, not swept yet";
  fill(drawn, label, left > 0 ? [left, 0] : [0, whole], whole);
  write(text, label);
  write(shown.children[4], number(it.extensions));
}

function outcome(it) {
  if (it.status === undefined) return ["bad", "no answer"];
  if (it.status >= 300) return ["bad", `${it.status} ${it.error ?? ""}`];
  const text = `${it.outcome ?? it.status} ${it.reason_code ?? ""}${it.is_dry_run ? " (dry run)" : ""}`;
  return [it.outcome === "DENY" ? "bad" : it.outcome === "ALLOW_WITH_CAPS" ? "doubtful" : "good", text];
}

function makeRequest({ it }) {
  const [kind, text] = outcome(it);
  const place = it.plane === "runtime" && it.operation !== "unknown" ? it.operation : `${it.method} ${it.path}`;
  const amount = it.amount !== undefined ? `${number(it.amount)} ${it.unit}`
    : it.extend_by_ms !== undefined ? `+${number(it.extend_by_ms)} ms`
      : it.rows !== undefined ? `${it.rows} rows` : "";
  return element("tr", it.message ? { title: it.message } : {},
    element("td", {}, it.time.slice(11, 23)),
    element("td", {}, element("bdi", {}, place)),
    element("td", { class: kind }, text),
    element("td", { class: "path" }, element("bdi", {}, it.scope ?? it.reservation_id ?? it.query ?? "")),
    element("td", { class: "number" }, amount),
    element("td", { class: "number" }, it.remaining === undefined ? "" : number(it.remaining)),
    element("td", {}, it.fault ?? ""),
    element("td", { class: "path" }, element("bdi", {}, it.idempotency_key ?? "")));
}

function draw() {
  state.isDrawn = true;
  const news = state.news;
  if (news === null) return;
  show(at("budgets"), news.budgets, (it) => `${it.scope} ${it.unit}`, makeBudget, updateBudget);
  show(at("faults"), switches(news.faults), (it) => it.rule, makeSwitch, updateSwitch);
  show(at("requests"), state.requests, (it) => String(it.number), makeRequest, () => {});
  write(at("live-count"), news.live_count > news.live.length
    ? `${number(news.live_count)}, of which the ${news.live.length} that end first` : number(news.live_count));
  const forgotten = news.forgotten_reservations > 0 ? `, and forgotten: ${number(news.forgotten_reservations)}` : "";
  write(at("ended"), `Reservations that have ended: ${number(news.ended_count)}${forgotten}. Events charged: ${number(news.events_applied)}.`);
  tick();
}

function tick() {
  if (state.news === null || state.stream === null) return;
  write(at("clock"), new Date(Date.now() + state.clockAhead).toISOString().replace("T", " ").slice(0, 19));
  show(at("live"), state.news.live, (it) => it.reservation_id, makeLive, updateLive);
  // It sends something each second.
  const silence = Date.now() - state.heardAt;
  if (silence > 3000) connection("lost", `no news for ${Math.round(silence / 1000)} s`);
}

// ---- What comes, and what is ordered ----

function ask(path, options = {}) {
  return fetch(path, { ...options, headers: { authorization: `Bearer ${state.key}` }, cache: "no-store" });
}

// What a button does: an error is shown, and what changes arrives by the stream. Returns whether it was done.
async function order(path, method, body) {
  try {
    const signal = AbortSignal.timeout(5000);
    const answer = await ask(path, { method, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    tell(answer.ok ? "" : (await answer.json()).error);
    return answer.ok;
  } catch {
    tell("The sandbox has not answered in five seconds. What was ordered may still be done.");
    return false;
  }
}

function tell(problem) {
  write(at("problem"), problem);
  at("problem").hidden = problem === "";
}

function connection(name, text) {
  at("connection").className = name;
  write(at("connection"), text);
  for (const button of document.querySelectorAll("header button")) button.disabled = name !== "live";
}

const nextState = () => new Promise((heard) => state.waiting.push(heard));

const EVENTS = {
  state(news) {
    for (const heard of state.waiting.splice(0)) heard();
    state.clockAhead = news.now_ms - Date.now();
    if (state.resets !== null && state.resets !== news.resets) state.requests = [];
    state.resets = news.resets;
    state.news = news;
  },
  requests(news) {
    const first = (state.requests[0]?.number ?? 0) + 1;
    const fresh = news.map((it, place) => ({ it, number: first + place })).reverse();
    state.requests = [...fresh, ...state.requests].slice(0, REQUESTS);
  },
};

// Only the newest state is drawn, once the page has time for it.
function hear(events) {
  state.heardAt = Date.now();
  connection("live", "live");
  const read = events.map((event) => event.match(/^event: (\w+)\ndata: (.*)$/) ?? []);
  const newest = read.findLastIndex(([, name]) => name === "state");
  read.forEach(([, name, data], place) => {
    if (name !== undefined && (name !== "state" || place === newest)) EVENTS[name]?.(parsed(data));
  });
  if (state.isDrawn) {
    state.isDrawn = false;
    requestAnimationFrame(draw);
  }
}

// A stream of events over fetch, because EventSource sends no key. Returns whether the key is the right one.
async function listen() {
  state.stream = new AbortController();
  const answer = await ask("stream", { signal: state.stream.signal });
  if (answer.status === 401) return false;
  [state.requests, state.resets] = [[], null];
  at("key-form").hidden = true;
  at("main").hidden = false;
  tell("");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return true;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    if (events.length > 0) hear(events);
  }
}

// The key arrives behind the # of the address, which a browser does not send, and is then taken out of sight.
function takeKey() {
  if (location.hash.length > 1) {
    let key = location.hash.slice(1);
    try {
      key = decodeURIComponent(key);
    } catch {
      // It was written as it is.
    }
    sessionStorage.setItem("key", key);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("key") ?? "";
}

const visible = () => new Promise((seen) => {
  const look = () => document.hidden ? document.addEventListener("visibilitychange", look, { once: true }) : seen();
  look();
});

async function run() {
  for (;;) {
    // A browser has few connections to a server, so a page that nobody sees has none.
    await visible();
    state.key = takeKey();
    let isPermitted = true;
    try {
      isPermitted = state.key !== "" && await listen();
    } catch {
      // It went away, and may come back, or the page is hidden.
    }
    state.stream = null;
    if (!isPermitted) {
      if (state.key !== "") tell("This is not the key. It is CYCLES_SANDBOX_CONTROL_KEY among the settings that the sandbox prints.");
      connection("lost", "needs the key");
      at("main").hidden = true;
      at("key-form").hidden = false;
      at("key").focus();
      return;
    }
    connection("lost", document.hidden ? "paused" : "the sandbox is gone; looking for it");
    await new Promise((done) => setTimeout(done, document.hidden ? 0 : 1000));
  }
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", at("key").value);
  at("key").value = "";
  run();
});
at("fault-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const isDone = await order("faults", "POST", { rules: [at("rule").value] });
  set(at("rule"), "aria-invalid", String(!isDone));
  if (isDone) at("rule").value = "";
});
at("reset").addEventListener("click", () => order("reset", "POST"));
for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => order("clock", "POST", { advance_ms: Number(button.dataset.advance) }));
}
document.addEventListener("visibilitychange", () => document.hidden && state.stream?.abort());
setInterval(tick, 500);
addEventListener("hashchange", () => location.reload());
run();
