// Colours of the theme that is on, and canvases that follow their size on screen.
import { make } from "./base.js";

export const paint = {};  // name of a custom property -> [r, g, b]; and isDark

export function readPaint() {
  const names = ["back", "card", "ink", "dim", "line", "free", "kept", "accent", "blue", "amber", "rose"];
  const probe = make("i");
  document.body.append(probe);
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    paint[name] = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  }
  probe.remove();
  paint.isDark = paint.back[0] < 128;
  requestPaint.clear();
}

export const css = rgb => `rgb(${rgb.join(" ")})`;

// Even lightness and distant hues for neighbouring ids: OKLCH, hue by the golden angle.
const requestPaint = new Map();
export function paintOf(id) {
  let rgb = requestPaint.get(id);
  if (rgb) return rgb;
  if (requestPaint.size > 20000) requestPaint.clear();
  const light = (paint.isDark ? [0.68, 0.76, 0.61] : [0.66, 0.58, 0.74])[Math.abs(id) % 3];
  const hue = (id * 137.508) % 360 * Math.PI / 180, a = 0.125 * Math.cos(hue), b = 0.125 * Math.sin(hue);
  const l = (light + 0.3963 * a + 0.2158 * b) ** 3;
  const m = (light - 0.1056 * a - 0.0639 * b) ** 3;
  const s = (light - 0.0895 * a - 1.2915 * b) ** 3;
  rgb = [4.0767 * l - 3.3077 * m + 0.231 * s, -1.2684 * l + 2.6098 * m - 0.3413 * s,
    -0.0042 * l - 0.7034 * m + 1.7076 * s].map(gamma);
  requestPaint.set(id, rgb);
  return rgb;
}
function gamma(x) {
  const y = x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, y)));
}

// `draw` runs at most once a frame: when the canvas changes its size, and when the returned function is called.
export function surface(canvas, draw) {
  let isAsked = false;
  const ask = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; draw(); });
  };
  new ResizeObserver(ask).observe(canvas);
  return ask;
}

export const pixelRatio = () => window.devicePixelRatio || 1;
export const widthOf = canvas => Math.max(1, Math.round(canvas.clientWidth * pixelRatio()));

// The context of a bitmap that is as wide as the canvas on screen.
export function fit(canvas, heightPx) {
  const width = widthOf(canvas), height = Math.max(1, heightPx);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  return canvas.getContext("2d");
}
