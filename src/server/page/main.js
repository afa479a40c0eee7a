// The live page: starts everything, and keeps the theme.
import { $, recall, remember, setText } from "./base.js";
import "./chat.js";
import { charts } from "./charts.js";
import { startPolling } from "./live.js";
import { readPaint } from "./paint.js";
import { drawPool, drawShare } from "./pool.js";

const themes = { auto: "light dark", light: "light", dark: "dark" };
function redrawAll() {
  readPaint();
  drawPool();
  drawShare();
  for (const chart of charts) chart.draw();
}
function setTheme(name) {
  document.documentElement.style.colorScheme = themes[name];
  setText($("theme"), `Theme: ${name}`);
  redrawAll();
}
$("theme").addEventListener("click", () => {
  const names = Object.keys(themes), now = names.findIndex(name => $("theme").textContent.endsWith(name));
  const next = names[(now + 1) % names.length];
  remember("localStorage", "quire.theme", next);
  setTheme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

const kept = recall("localStorage", "quire.theme");
setTheme(Object.hasOwn(themes, kept) ? kept : "auto");
startPolling();
