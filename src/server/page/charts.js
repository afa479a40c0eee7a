// Small charts on canvases: stacked bars of steps, and lines over the last two minutes.
import { $, count, isNumber, make, perSecond, seconds, setText } from "./base.js";
import { css, fit, paint, pixelRatio, surface } from "./paint.js";

const kSpanS = 120;
export const charts = [];

// A series: {key, label, color, isDashed}. Points: [{at, values: {key: number or null}}].
function addChart(options) {
  const canvas = make("canvas"), legend = make("ul", { className: "legend" }), values = {};
  for (const s of options.series) {
    values[s.key] = make("span", { className: "value" });
    const mark = make("i", { className: `${s.color}${s.isDashed ? " dash" : ""}` });
    legend.append(make("li", {}, mark, `${s.label} `, values[s.key]));
  }
  const note = make("span", { className: "note" }, options.note || "");
  const head = make("header", {}, make("h2", {}, options.title), note);
  $("charts").append(make("section", { className: "card" }, head, make("div", { className: "plot" }, canvas), legend));
  canvas.setAttribute("role", "img");
  const chart = { ...options, canvas, values, note, points: [], pointer: null };
  chart.draw = surface(canvas, () => drawChart(chart));
  canvas.addEventListener("pointermove", e => { chart.pointer = e.offsetX / canvas.clientWidth; chart.draw(); });
  canvas.addEventListener("pointerleave", () => { chart.pointer = null; chart.draw(); });
  charts.push(chart);
  return chart;
}

const topOf = most => {  // a round number that is not below
  const unit = 10 ** Math.floor(Math.log10(most || 1));
  return unit * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find(m => m * unit >= most * 0.9999);
};
// The points that there is room for: bars are at least 3 pixels apart.
function seenPoints(chart, width) {
  return chart.isStacked ? chart.points.slice(-Math.max(1, Math.floor(width / 3))) : chart.points;
}
function mostOf(chart, points) {
  let most = 0;
  for (const point of points) {
    let sum = 0;
    for (const s of chart.series) {
      const v = point.values[s.key] || 0;
      sum = chart.isStacked ? sum + v : Math.max(sum, v);
    }
    most = Math.max(most, sum);
  }
  return most;
}

function drawChart(chart) {
  const scale = pixelRatio(), width = chart.canvas.clientWidth, height = chart.canvas.clientHeight;
  const g = fit(chart.canvas, Math.round(height * scale)), box = { x: 0, y: 16, w: width, h: height - 17 };
  box.top = topOf(mostOf(chart, seenPoints(chart, width)) || chart.least);
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "11.5px system-ui, sans-serif";
  g.lineWidth = 1;
  const yOf = part => Math.round(box.y + box.h * (1 - part)) + 0.5;
  g.strokeStyle = css(paint.line);
  for (const part of [0, 0.5, 1]) { g.beginPath(); g.moveTo(0, yOf(part)); g.lineTo(width, yOf(part)); g.stroke(); }
  const index = chart.isStacked ? drawBars(g, chart, box) : drawLines(g, chart, box);
  Object.assign(g, { lineWidth: 4, lineJoin: "round", strokeStyle: css(paint.card), fillStyle: css(paint.dim) });
  for (const part of [0.5, 1]) {
    for (const how of ["strokeText", "fillText"]) g[how](chart.format(box.top * part), 0, yOf(part) - 4);
  }
  const point = chart.points[index ?? chart.points.length - 1];
  for (const s of chart.series) setText(chart.values[s.key], point ? chart.format(point.values[s.key]) : "–");
  const said = chart.series.map(s => `${s.label} ${chart.values[s.key].textContent}`);
  chart.canvas.setAttribute("aria-label", `${chart.title}: ${said.join(", ")}`);
}

function drawBars(g, chart, box) {
  const points = seenPoints(chart, box.w), pitch = box.w / Math.max(points.length, 60);
  const wide = Math.max(1, pitch - (pitch > 4 ? 1.5 : 0.6));
  const left = box.w - pitch * points.length;
  const hit = chart.pointer === null ? -1 : Math.floor((chart.pointer * box.w - left) / pitch);
  const isHit = hit >= 0 && hit < points.length;
  points.forEach((point, i) => {
    let y = box.y + box.h;
    g.globalAlpha = isHit && hit !== i ? 0.4 : 1;
    for (const s of chart.series) {
      const tall = (point.values[s.key] || 0) / box.top * box.h;
      g.fillStyle = css(paint[s.color]);
      g.fillRect(left + i * pitch, y -= tall, wide, tall);
    }
  });
  g.globalAlpha = 1;
  return isHit ? chart.points.length - points.length + hit : null;
}

// The line of a series and the area below it; both pause where nothing was measured.
function pathsOf(series, chart, box, x) {
  const trace = new Path2D(), area = new Path2D();
  let isPen = false, to = 0;
  for (const { at, values } of chart.points) {
    const v = values[series.key];
    if (isNumber(v)) {
      const y = box.y + box.h * (1 - v / box.top);
      to = x(at);
      if (!isPen) area.moveTo(to, box.y + box.h);
      area.lineTo(to, y);
      trace[isPen ? "lineTo" : "moveTo"](to, y);
    } else if (isPen) {
      area.lineTo(to, box.y + box.h);
    }
    isPen = isNumber(v);
  }
  if (isPen) area.lineTo(to, box.y + box.h);
  return { trace, area };
}

function drawLines(g, chart, box) {
  const end = chart.points.length ? chart.points[chart.points.length - 1].at : 0;
  const x = at => box.w * (1 - (end - at) / kSpanS);
  for (const s of chart.series) {
    const { trace, area } = pathsOf(s, chart, box, x);
    g.strokeStyle = g.fillStyle = css(paint[s.color]);
    if (s === chart.series[0]) { g.globalAlpha = 0.14; g.fill(area); g.globalAlpha = 1; }
    g.setLineDash(s.isDashed ? [4, 3] : []);
    Object.assign(g, { lineWidth: 1.75, lineJoin: "round" });
    g.stroke(trace);
  }
  g.setLineDash([]);
  return chart.pointer === null ? null : drawCross(g, chart, box, end);
}

function drawCross(g, chart, box, end) {
  const at = end - kSpanS * (1 - chart.pointer);
  let best = null;
  chart.points.forEach((p, i) => {
    if (best === null || Math.abs(p.at - at) < Math.abs(chart.points[best].at - at)) best = i;
  });
  if (best === null) return null;
  const x = box.w * (1 - (end - chart.points[best].at) / kSpanS);
  g.strokeStyle = css(paint.dim);
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(x, box.y);
  g.lineTo(x, box.y + box.h);
  g.stroke();
  return best;
}

export function addPoint(chart, at, values) {
  chart.points.push({ at, values });
  while (chart.points.length > 2 && chart.points[0].at < at - kSpanS - 5) chart.points.shift();
  chart.draw();
}

export const steps = addChart({ title: "Tokens in each step", isStacked: true, least: 8, format: count, series: [
  { key: "decode", label: "decode", color: "blue" }, { key: "extend", label: "extend", color: "amber" },
  { key: "prefill", label: "prefill", color: "rose" }] });
export const rates = addChart({ title: "Tokens per second", note: "last two minutes", least: 10, format: perSecond,
  series: [{ key: "generated", label: "generated", color: "blue" },
    { key: "prompt", label: "prompt", color: "amber" }] });
const halves = [{ key: "p50", label: "median", color: "blue" },
  { key: "p99", label: "99 %", color: "rose", isDashed: true }];
const times = { least: 0.01, format: seconds, series: halves };
export const ttft = addChart({ title: "Time to first token", note: "requests of the last 10 s", ...times });
// Between tokens, and not the mean of a request: that is known when the request ends, which may be minutes away.
export const gaps = addChart({ title: "Time between tokens", note: "tokens of the last 10 s", ...times });

// The steps of a snapshot, oldest first: [{decode, extend, prefill, time_us}].
export function takeSteps(list) {
  if (!Array.isArray(list)) return;
  const tokens = x => isNumber(x) ? x : 0;
  steps.points = list.filter(s => s && typeof s === "object").slice(-512).map((s, i) => ({ at: i, values: {
    decode: tokens(s.decode), extend: tokens(s.extend), prefill: tokens(s.prefill), time: s.time_us } }));
  const times = steps.points.map(p => p.values.time).filter(isNumber).sort((a, b) => a - b);
  const median = seconds(times[times.length >> 1] / 1e6);
  setText(steps.note, times.length ? `${count(times.length)} steps, median ${median}` : "");
  steps.draw();
}
