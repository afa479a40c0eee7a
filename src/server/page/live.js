// Asks the server again and again. Figures and charts come from /metrics, which answers at any time; the pool and the
// composition of steps from snapshots, which the server takes between two steps: the last one stays until the next.
import { $, count, get, isNumber, make, perSecond, seconds, setText } from "./base.js";
import { addPoint, gaps, rates, takeSteps, ttft } from "./charts.js";
import { StepMeter, kGap, kTtft, parseMetrics, quantile } from "./metrics.js";
import { setPageSize, takeOwners } from "./pool.js";

// ---------------------------------------------------------------- figures
const figures = {};
for (const [name, label] of [["running", "Running"], ["waiting", "Waiting"], ["rate", "Tokens/s"], ["step", "Step"],
  ["used", "Pages in use"], ["shared", "Shared"], ["hits", "Prefix hits"], ["preempted", "Preemptions"]]) {
  figures[name] = make("dd", {}, "–");
  $("figures").append(make("div", {}, make("dt", {}, label), figures[name]));
}
function show(name, text, unit = "") {
  const node = figures[name];
  if (node.dataset.text === text + unit) return;
  node.dataset.text = text + unit;
  node.replaceChildren(text, ...(unit ? [make("small", {}, unit)] : []));
}

// ---------------------------------------------------------------- /metrics
const kSlowS = 3;  // a step that takes so long is worth a word
export const live = { model: "", metrics: null, waitingS: 0, pagesTime: null, pagesSeenAt: null };
const meter = new StepMeter(), scrapes = [];

function takeFigures(now) {
  meter.add(now);
  live.metrics = now;
  live.waitingS = meter.waitingS(now);
  const speed = meter.rates(now), isLate = live.waitingS > Math.max(kSlowS, 3 * (speed.stepS || 0));
  show("running", count(now.running));
  show("waiting", count(now.waiting));
  show("rate", perSecond(speed.generated));
  show("step", seconds(speed.stepS), isLate ? `now ${seconds(Math.floor(live.waitingS))}` : "");
  show("used", count(now.held), isNumber(now.usage) && now.held > 0 ? percent(now.usage) : "");
  show("preempted", count(now.preemptions));
  if (isNumber(speed.generated)) addPoint(rates, now.at, { generated: speed.generated, prompt: speed.prompt });
}
const percent = share => share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(share * 100)} %`;

function takeQuantiles(now) {
  scrapes.push(now);
  while (scrapes.length > 2 && scrapes[1].at <= now.at - 10) scrapes.shift();
  const before = scrapes[0];
  for (const [chart, name] of [[ttft, kTtft], [gaps, kGap]]) {
    const [later, earlier] = [now.histograms[name], before.histograms[name]];
    addPoint(chart, now.at, { p50: quantile(later, earlier, 0.5), p99: quantile(later, earlier, 0.99) });
  }
  const asked = now.queries - before.queries;
  show("hits", asked > 0 ? percent((now.hits - before.hits) / asked) : "–");
}

async function pollMetrics() {
  const text = await (await get("metrics", 10000)).text();
  const now = { at: performance.now() / 1e3, ...parseMetrics(text) };
  takeFigures(now);
  takeQuantiles(now);
  if (!live.model && isNumber(now.steps)) await learnModel();
}

async function learnModel() {
  const list = await (await get("v1/models", 10000)).json();
  live.model = String(list?.data?.[0]?.id ?? "");
  setText($("model"), live.model);
  document.title = live.model ? `${live.model} – Quire` : "Quire";
}

// ---------------------------------------------------------------- snapshots
async function pollPages() {
  if (live.metrics && !isNumber(live.metrics.steps)) return;  // there is no engine yet
  const data = await (await get("v1/internal/pages", 30000)).json();
  if (!data || typeof data !== "object") return;
  const owners = Array.isArray(data.owners) ? data.owners.map(o => Number.isSafeInteger(o) ? o : -1) : [];
  if (isNumber(data.page_size)) setPageSize(data.page_size);
  takeOwners(owners);
  takeSteps(data.steps);
  show("shared", count(owners.reduce((sum, owner) => sum + (owner < -1), 0)));
  if (data.time !== live.pagesTime || live.pagesSeenAt === null) live.pagesSeenAt = performance.now() / 1e3;
  live.pagesTime = data.time;
}

function sayAge() {
  const age = live.pagesSeenAt === null ? null : performance.now() / 1e3 - live.pagesSeenAt;
  const isBusy = live.metrics?.running > 0;
  if (age === null && isBusy) setText($("poolnote"), "The pages come as soon as the running step has ended.");
  setText($("poolage"), age !== null && age > kSlowS && isBusy ? `as of ${seconds(Math.floor(age))} ago` : "");
}

// ---------------------------------------------------------------- polling
const sources = [
  { poll: pollMetrics, leastMs: 500, numLost: 0, error: null },
  { poll: pollPages, leastMs: 300, numLost: 0, error: null },
];

function sayState() {
  const [{ numLost, error }] = sources, [className, text] = stateOf(numLost, error);
  $("state").className = className;
  setText($("state"), text);
  sayAge();
}
function stateOf(numLost, error) {
  if (error && (error.status === 401 || error.status === 403)) return ["bad", "the server asks for an API key"];
  if (error && error.status) return ["bad", error.message];
  if (error && numLost > 1) return ["bad", "no answer from the server, trying again"];
  if (!live.metrics) return ["", "connecting"];
  if (!isNumber(live.metrics.steps)) return ["", "the model is being loaded"];
  const waiting = seconds(Math.floor(live.waitingS));
  if (live.waitingS > kSlowS) return ["slow", `live; a step has been running for ${waiting}`];
  return ["good", "live"];
}

// Never more often than `leastMs`, and never so often that the answers are most of the work.
async function keepPolling(source) {
  for (;;) {
    const start = performance.now();
    try {
      if (!document.hidden) {
        await source.poll();
        source.numLost = 0;
        source.error = null;
      }
    } catch (error) {
      ++source.numLost;
      source.error = error;
    }
    sayState();
    const tookMs = performance.now() - start;
    const waitMs = Math.max(source.leastMs, Math.min(2000, tookMs * 3), Math.min(4000, source.numLost * 500));
    await new Promise(done => setTimeout(done, waitMs));
  }
}

export function startPolling() {
  for (const source of sources) keepPolling(source);
}
