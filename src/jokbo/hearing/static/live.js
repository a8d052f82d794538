// Live updates of a hearing: one stream a browser, pages fetched again at a time of their own, tallies in place.
// Everything that people wrote arrives as text and is shown as text.

const body = document.body;
const box = document.getElementById("live");
const state = document.getElementById("live-state");
const hold = document.getElementById("live-hold");
const news = document.getElementById("live-news");
const MOST_NEWS = 30;
const LEAST_WAIT = 400, SPREAD = 2600;

let last = Number(body.dataset.after);
let lastEntry = -1;
let held = false;
let waiting = [];
let refresh = 0;

function say(word) {
  box.dataset.state = word;
  state.textContent = state.dataset[word] + (word === "held" && waiting.length ? ` ${waiting.length} ${state.dataset.waiting}` : "");
}

function tell(document_) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = document_.href;
  link.textContent = `${document_.number} · ${document_.line}`;
  item.append(link);
  news.append(item);
  while (news.children.length > MOST_NEWS) news.firstElementChild.remove();
  news.scrollTop = news.scrollHeight;
}

function count(tallies) {
  for (const [question, groups] of Object.entries(tallies)) {
    const rows = document.querySelectorAll(`table[data-question="${Number(question)}"] tbody tr`);
    groups.forEach((group, k) => {
      const cells = rows[k] ? rows[k].querySelectorAll("td") : [];
      cells.forEach((cell, n) => {
        const text = typeof group[n] === "number" ? group[n].toLocaleString(document.documentElement.lang) : String(group[n]);
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
  }
}

// Somebody who writes, or stands on a control, keeps the page as it is.
function busy() {
  const at = document.activeElement;
  return Boolean(document.querySelector("form.write")) || (at && at !== body && at.closest("main") && at.id !== "main");
}

async function draw() {
  refresh = 0;
  if (held) return;
  if (busy()) { later(); return; }
  const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = fresh.getElementById("main");
  if (held || busy() || !main) return;
  document.getElementById("main").replaceChildren(...main.childNodes);
  document.title = fresh.title;
}

// All readers at once would be a flood: each comes at a moment of its own.
function later() {
  if (!refresh) refresh = setTimeout(draw, LEAST_WAIT + Math.random() * SPREAD);
}

function take([kind, document_]) {
  if (kind === "reset") { later(); return; }
  if (kind === "tally") { count(document_.tallies); last = Math.max(last, document_.number); return; }
  if (document_.number <= lastEntry) return;
  if (document_.after > last) later();
  lastEntry = document_.number;
  last = Math.max(last, document_.number);
  tell(document_);
  if (document_.pages.includes(body.dataset.page)) later();
}

function receive(event) {
  if (held && event[0] === "entry") { waiting.push(event); say("held"); return; }
  if (held) return;
  take(event);
}

function open(share) {
  const source = new EventSource(`${body.dataset.stream}?after=${last}`);
  source.onopen = () => share(["state", "open"]);
  source.onerror = () => {
    // A browser comes back by itself after a broken stream, but not after an answer that was an error: until there
    // is room again the page is looked at from time to time.
    if (source.readyState !== EventSource.CLOSED) { share(["state", "lost"]); return; }
    share(["state", "polled"]);
    setTimeout(() => open(share), 20000 + Math.random() * 20000);
  };
  for (const kind of ["entry", "tally", "reset"]) {
    source.addEventListener(kind, event => share([kind, JSON.parse(event.data)]));
  }
}

function heard(message) {
  if (message[0] !== "state") { receive(message); return; }
  if (held) return;
  say(message[1]);
  if (message[1] === "polled") later();
}

// Browsers open six connections to a host: all tabs of one language share one stream, held by whoever has the lock.
function start() {
  const name = `jokbo${body.dataset.stream}`;
  if (!navigator.locks || !window.BroadcastChannel) { open(heard); return; }
  const channel = new BroadcastChannel(name);
  channel.onmessage = event => heard(event.data);
  say("open");
  navigator.locks.request(name, () => new Promise(() => {
    open(message => { channel.postMessage(message); heard(message); });
  }));
}

hold.hidden = false;
hold.addEventListener("click", () => {
  held = !held;
  hold.setAttribute("aria-pressed", String(held));
  hold.textContent = held ? hold.dataset.go : hold.dataset.hold;
  say(held ? "held" : "open");
  if (held) return;
  const missed = waiting;
  waiting = [];
  missed.forEach(take);
  later();
});
start();
