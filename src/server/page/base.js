// What every module of the page uses: nodes, texts of figures, and requests to the server.
export const $ = id => document.getElementById(id);

// A node; children that are strings become text, never markup.
export function make(tag, attributes = {}, ...children) {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

export const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
export const isNumber = x => typeof x === "number" && Number.isFinite(x);
export const count = x => isNumber(x) ? Math.round(x).toLocaleString("en") : "–";

export function seconds(s) {
  if (!isNumber(s)) return "–";
  if (s < 0.9995) return `${(s * 1e3).toPrecision(s < 0.01 ? 2 : 3).replace(/\.0+$/, "")} ms`;
  return `${+s.toFixed(s < 10 ? 2 : 1)} s`;
}

// A rate, with a decimal where whole numbers would be too coarse.
export const perSecond = x => isNumber(x) && x < 9.95 && x % 1 ? x.toFixed(1) : count(x);

let key = "";  // of the server; lives in this variable only
$("key").addEventListener("input", e => { key = e.target.value.trim(); });
export const headers = more => ({ ...(key ? { Authorization: `Bearer ${key}` } : {}), ...more });

// The answer to a GET. Throws an Error with `status` where the server refuses.
export async function get(path, timeoutMs) {
  const signal = AbortSignal.timeout(timeoutMs);
  const answer = await fetch(path, { headers: headers(), cache: "no-store", signal });
  if (!answer.ok) throw Object.assign(new Error(`${path} answered ${answer.status}`), { status: answer.status });
  return answer;
}

// What the browser keeps for this page; a browser that keeps nothing is no error.
export function remember(store, name, value) {
  try { window[store].setItem(name, value); } catch { /* full, or forbidden */ }
}
export function recall(store, name) {
  try { return window[store].getItem(name); } catch { return null; }
}
