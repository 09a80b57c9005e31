// Keeps the numbers of the dashboard live. Counts come with the messages that readers' pages get. Everything else is asked for each
// minute.

/** How often curves and lists are read again. */
const MINUTE_MS = 60_000;
/** How soon they are read again when a page gets its first viewer. */
const SOON_MS = 3_000;
/** Waits before it connects again: each time longer. */
const WAITS_MS = [1_000, 2_000, 5_000, 15_000, 30_000];

const counts = new Map();
let failures = 0;
/** Whether the lists will be read again soon. */
let isDue = false;

/** Writes the counts that are known into the page. */
function show() {
  for (const cell of document.querySelectorAll("[data-count]")) {
    const count = counts.get(cell.dataset.count);
    if (count !== undefined && cell.textContent !== String(count)) cell.textContent = count;
  }
  document.title = `${document.querySelector("h1").textContent}`;
}

function say(text) {
  document.getElementById("state").textContent = text;
}

function connect() {
  const socket = new WebSocket(new URL("live", location.href.replace(/^http/, "ws")));
  socket.onopen = () => {
    failures = 0;
    counts.clear();
    say("Live");
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type !== "update") return;
    for (const [name, count] of Object.entries(message.connections)) {
      if (count > 0 && !counts.get(name)) renewSoon();
      counts.set(name, count);
    }
    show();
  };
  socket.onclose = () => {
    say("Not connected. Trying again");
    setTimeout(connect, WAITS_MS[Math.min(failures++, WAITS_MS.length - 1)]);
  };
}

function renewSoon() {
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    renew().catch(() => {});
  }, SOON_MS);
}

/** Takes curves and lists from a new copy of the page. What is open stays open, and what is selected stays selected. */
async function renew() {
  if (!getSelection().isCollapsed) return;
  const answer = await fetch("", { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = [...document.querySelectorAll("details")].map((details) => details.open);
  const focused = [...document.querySelectorAll("summary")].indexOf(document.activeElement);
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.querySelectorAll("details").forEach((details, index) => { details.open = open[index] ?? false; });
  document.querySelectorAll("summary")[focused]?.focus();
  show();
}

connect();
setInterval(() => renew().catch(() => {}), MINUTE_MS);
