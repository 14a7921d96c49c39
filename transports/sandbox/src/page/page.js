"use strict";

const at = (id) => document.getElementById(id);
const state = { key: "", requests: [], resets: null, clockAhead: 0, live: [], last: null };

// The key arrives behind the # of the address, which a browser does not send, and is then taken out of sight.
function takeKey() {
  if (location.hash.length > 1) {
    sessionStorage.setItem("key", decodeURIComponent(location.hash.slice(1)));
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("key") ?? "";
}

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

function element(name, attributes = {}, ...children) {
  const svg = name === "svg" || name === "rect" || name === "title";
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function ask(path, options = {}) {
  return fetch(path, { ...options, headers: { authorization: `Bearer ${state.key}` }, cache: "no-store" });
}

// What a button does: an error is shown, and what changes arrives by the stream.
async function order(path, method, body) {
  try {
    const answer = await ask(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    tell(answer.ok ? "" : (await answer.json()).error);
  } catch {
    tell("The sandbox does not answer.");
  }
}

function tell(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = problem === "";
}

function connection(name, text) {
  at("connection").className = name;
  at("connection").textContent = text;
}

const number = (value) => value.toLocaleString("en");

function bar(label, parts, total, className) {
  const drawn = element("svg", { class: className, viewBox: "0 0 100 1", preserveAspectRatio: "none", role: "img", "aria-label": label });
  drawn.append(element("title", {}, label));
  let from = 0;
  for (const [name, value] of parts) {
    const width = total > 0 ? Math.min(100 - from, Math.max(0, (value / total) * 100)) : 0;
    drawn.append(element("rect", { class: name, x: from, y: 0, width, height: 1 }));
    from += width;
  }
  return drawn;
}

function budget(it) {
  const label = `spent ${number(it.spent)}, reserved ${number(it.reserved)}, remaining ${number(it.remaining)} of ${number(it.allocated)} ${it.unit}`
    + (it.debt > 0 ? `, debt ${number(it.debt)} of at most ${number(it.overdraft_limit)}` : "");
  const notes = [it.status === "ACTIVE" ? null : it.status, it.is_over_limit ? "OVER LIMIT" : null].filter(Boolean).join(" ");
  const total = Math.max(it.allocated, it.spent + it.reserved + it.debt);
  return element("li", {},
    element("div", { class: "row" },
      element("span", { class: "name" }, it.scope),
      element("span", {}, element("span", { class: "bad" }, notes), ` ${number(it.remaining)} of ${number(it.allocated)} ${it.unit}`)),
    bar(label, [["spent", it.spent], ["reserved", it.reserved], ["debt", it.debt]], total, "bar"),
    element("div", { class: "quiet" }, label));
}

function toggle(name, rule, active) {
  const count = active ? `struck ${number(active.struck)} of ${number(active.calls)}` : "";
  const made = element("button", { type: "button", role: "switch", "aria-checked": String(Boolean(active)), "data-rule": rule },
    element("span", {}, name ?? element("code", {}, rule), name ? element("code", { class: "quiet" }, ` ${rule}`) : null),
    element("span", { class: "quiet" }, count));
  made.addEventListener("click", () => active
    ? order(`faults?rule=${encodeURIComponent(rule)}`, "DELETE")
    : order("faults", "POST", { rules: [rule] }));
  return element("li", {}, made);
}

function faults(active) {
  const of = (rule) => active.find((fault) => fault.rule === rule);
  const known = FAULTS.map(([name, rule]) => toggle(name, rule, of(rule)));
  const others = active.filter((fault) => !FAULTS.some(([, rule]) => rule === fault.rule));
  return [...known, ...others.map((fault) => toggle(null, fault.rule, fault))];
}

function lease(it, now) {
  const left = it.expires_at_ms - now;
  const whole = Math.max(1, it.expires_at_ms - it.created_at_ms);
  const text = left > 0 ? `${(left / 1000).toFixed(1)} s` : now <= it.grace_ends_at_ms ? "in its grace period" : "ended, not swept yet";
  const part = left > 0 ? [["left", left]] : [["grace", whole]];
  return [bar(text, part, whole, "lease"), text];
}

function reservation(it) {
  const amount = `${number(it.estimate.amount)} ${it.estimate.unit}`;
  return element("tr", {},
    element("td", {}, ...lease(it, Date.now() + state.clockAhead)),
    element("td", { class: "path" }, it.scopes.at(-1) ?? ""),
    element("td", { class: "path" }, `${it.action.kind} ${it.action.name}`),
    element("td", { class: "number" }, amount),
    element("td", { class: "number" }, number(it.extensions)),
    element("td", { class: "path" }, it.reservation_id));
}

function outcome(it) {
  if (it.status === undefined) return ["bad", "no answer"];
  if (it.status >= 300) return ["bad", `${it.status} ${it.error ?? ""}`];
  const text = `${it.outcome ?? it.status} ${it.reason_code ?? ""}${it.is_dry_run ? " (dry run)" : ""}`;
  return [it.outcome === "DENY" ? "bad" : it.outcome === "ALLOW_WITH_CAPS" ? "doubtful" : "good", text];
}

function request(it) {
  const [kind, text] = outcome(it);
  const place = it.plane === "runtime" && it.operation !== "unknown" ? it.operation : `${it.method} ${it.path}`;
  const amount = it.amount !== undefined ? `${number(it.amount)} ${it.unit}`
    : it.extend_by_ms !== undefined ? `+${number(it.extend_by_ms)} ms`
      : it.rows !== undefined ? `${it.rows} rows` : "";
  return element("tr", it.message ? { title: it.message } : {},
    element("td", {}, it.time.slice(11, 23)),
    element("td", {}, place),
    element("td", { class: kind }, text),
    element("td", { class: "path" }, it.scope ?? it.reservation_id ?? it.query ?? ""),
    element("td", { class: "number" }, amount),
    element("td", { class: "number" }, it.remaining === undefined ? "" : number(it.remaining)),
    element("td", {}, it.fault ?? ""),
    element("td", { class: "path" }, it.idempotency_key ?? ""));
}

// Replaces the rows only if they differ, so that what is selected or focused stays so.
function show(id, rows) {
  const place = at(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.rule : undefined;
  const fresh = element(place.tagName, {}, ...rows);
  if (fresh.innerHTML === place.innerHTML) return;
  place.replaceChildren(...rows);
  if (focused) [...place.querySelectorAll("[data-rule]")].find((it) => it.dataset.rule === focused)?.focus();
}

const EVENTS = {
  state(news) {
    state.clockAhead = news.now_ms - Date.now();
    if (state.resets !== null && state.resets !== news.resets) state.requests = [];
    state.resets = news.resets;
    state.live = news.live;
    state.last = news;
    show("budgets", news.budgets.map(budget));
    show("faults", faults(news.faults));
    at("live-count").textContent = news.live_count > news.live.length
      ? `${number(news.live_count)}, of which the ${news.live.length} that end first` : number(news.live_count);
    const forgotten = news.forgotten_reservations > 0 ? `, and forgotten: ${number(news.forgotten_reservations)}` : "";
    at("ended").textContent = `Reservations that have ended: ${number(news.ended_count)}${forgotten}. Events charged: ${number(news.events_applied)}.`;
    tick();
  },
  requests(news) {
    state.requests = [...news.reverse(), ...state.requests].slice(0, 100);
    show("requests", state.requests.map(request));
  },
};

function tick() {
  if (state.last === null) return;
  at("clock").textContent = new Date(Date.now() + state.clockAhead).toISOString().replace("T", " ").slice(0, 19);
  show("live", state.live.map(reservation));
}

// A stream of events over fetch, because EventSource sends no key.
async function listen() {
  const answer = await ask("stream");
  if (answer.status === 401) return false;
  state.requests = [];
  state.resets = null;
  at("key-form").hidden = true;
  at("main").hidden = false;
  connection("live", "live");
  tell("");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return true;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const [, name, data] = event.match(/^event: (\w+)\ndata: (.*)$/) ?? [];
      if (name) EVENTS[name]?.(JSON.parse(data));
    }
  }
}

async function run() {
  for (;;) {
    state.key = takeKey();
    let isPermitted = true;
    try {
      isPermitted = state.key !== "" && await listen();
    } catch {
      // It went away; it may come back.
    }
    if (!isPermitted) {
      if (state.key !== "") tell("This is not the key. It is CYCLES_SANDBOX_CONTROL_KEY among the settings that the sandbox prints.");
      connection("lost", "needs the key");
      at("main").hidden = true;
      at("key-form").hidden = false;
      at("key").focus();
      return;
    }
    connection("lost", "the sandbox is gone; looking for it");
    await new Promise((done) => setTimeout(done, 1000));
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
  await order("faults", "POST", { rules: [at("rule").value] });
  if (at("problem").hidden) at("rule").value = "";
});
at("reset").addEventListener("click", () => order("reset", "POST"));
for (const button of document.querySelectorAll("[data-advance]")) {
  button.addEventListener("click", () => order("clock", "POST", { advance_ms: Number(button.dataset.advance) }));
}
setInterval(tick, 200);
addEventListener("hashchange", () => location.reload());
run();
