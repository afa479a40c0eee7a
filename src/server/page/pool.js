// The page pool: one square a page, coloured by who holds it. Where squares of all pages would be too small to see,
// those that nobody uses are left out, and the bar above keeps the proportions.
import { $, count, setText } from "./base.js";
import { css, fit, paint, paintOf, pixelRatio, surface, widthOf } from "./paint.js";

// An owner is a request id, or one of these; below kFree it is shared, and the number of holders is its negative.
const kKept = 0, kFree = -1;
const kFadeMs = 500;
const kLargestCell = 18, kSeenCell = 6, kLeastCell = 2;  // CSS pixels, the last in pixels of the screen
const kLeastRows = 6;                                    // of squares where not all pages are drawn

export const pool = {
  owners: [], changed: new Float64Array(0), shares: { one: 0, shared: 0, kept: 0, free: 0 },
  slots: new Uint32Array(0),  // the page of each place, in the order of drawing
  numLeftOut: { kept: 0, free: 0 }, isStale: true, isCrowded: false, width: 0, most: 0,
  cell: 0, cols: 1, rows: 1, per: 1,  // one square, `cell` pixels wide, stands for `per` places
  chosen: null, cursor: -1, image: document.createElement("canvas"),
};
const isStill = matchMedia("(prefers-reduced-motion: reduce)");
const isByRequest = () => document.querySelector("[name=order][value=request]").checked;

const kindOf = owner => owner > 0 ? "one" : owner < kFree ? "shared" : owner === kKept ? "kept" : "free";

export function takeOwners(owners) {
  const now = performance.now(), shares = { one: 0, shared: 0, kept: 0, free: 0 };
  if (owners.length !== pool.owners.length) pool.changed = new Float64Array(owners.length).fill(-1e9);
  else for (let i = 0; i < owners.length; ++i) if (owners[i] !== pool.owners[i]) pool.changed[i] = now;
  for (const owner of owners) ++shares[kindOf(owner)];
  Object.assign(pool, { owners, shares, isStale: true });
  if (pool.cursor < 0) describeChoice(-1);
  drawPool();
  drawShare();
}

// ---------------------------------------------------------------- which page goes where
const room = (cell, width, height) => Math.floor(width / cell) * Math.floor(height / cell);

// {cell, cols, rows} with the largest square that has room for so many, and for some more. It stays as it is until it
// is full or mostly empty, so that the picture does not jump with every page.
function gridFor(num, width, height, scale) {
  const places = pool.cols * pool.rows, isSame = width === pool.width && height === pool.most && pool.isCrowded;
  if (isSame && num <= places && (num * 4 >= places || pool.rows <= kLeastRows)) return pool;
  let cell = Math.round(kLargestCell * scale);
  while (cell > kLeastCell && room(cell, width, height) < num * 1.15) --cell;
  const cols = Math.floor(width / cell) || 1, most = Math.floor(height / cell) || 1;
  return { cell, cols, rows: Math.min(most, Math.max(kLeastRows, Math.ceil(num * 1.4 / cols))) };
}

// Chooses the pages to draw and their places: all if they can be seen, else those in use and what fits beside them.
function arrange(width, height, scale) {
  const num = pool.owners.length, { one, shared, kept } = pool.shares, seen = Math.round(kSeenCell * scale);
  const isFull = one + shared >= num * (pool.isCrowded ? 0.5 : 0.4) && num <= room(kLeastCell, width, height);
  const isAll = isFull || num <= room(seen, width, height);
  const hasKept = isAll || one + shared + kept <= room(seen, width, height) || one + shared === 0;
  const numUsed = one + shared + (hasKept ? kept : 0);
  const { cell, cols, rows } = isAll ? gridOfAll(num, width, height, scale) : gridFor(numUsed, width, height, scale);
  const per = isAll ? 1 : Math.max(1, Math.ceil(numUsed / (cols * rows)));
  const slots = chooseSlots(hasKept, cols * rows * per);
  pool.numLeftOut = leftOut(slots);
  Object.assign(pool, { slots, cell, cols, rows, per, width, most: height, isCrowded: !isAll, isStale: false });
  describeSize();
}

function gridOfAll(num, width, height, scale) {
  let cell = Math.round(kLargestCell * scale);
  while (cell > 1 && room(cell, width, height) < num) --cell;
  const cols = Math.floor(width / cell) || 1;
  return { cell, cols, rows: Math.ceil(num / cols) };
}

function chooseSlots(hasKept, numPlaces) {
  const num = pool.owners.length, used = [], rest = [];
  for (let page = 0; page < num; ++page) {
    const owner = pool.owners[page], isRest = owner === kFree || (owner === kKept && !hasKept);
    if (num <= numPlaces || !isRest) used.push(page);
    else if (owner === kFree && rest.length < numPlaces) rest.push(page);
  }
  if (isByRequest()) sortByRequest(used);
  return Uint32Array.from([...used, ...rest].slice(0, numPlaces));
}

// Shared pages, then each request's, then what is kept, then what is free.
function sortByRequest(pages) {
  const place = owner => owner < kFree ? 0 : owner > 0 ? 1 : owner === kKept ? 2 : 3;
  const owners = pool.owners;
  pages.sort((a, b) => place(owners[a]) - place(owners[b]) || owners[a] - owners[b] || a - b);
}

function leftOut(slots) {
  const left = { kept: pool.shares.kept, free: pool.shares.free };
  for (const page of slots) {
    if (pool.owners[page] === kFree) --left.free;
    else if (pool.owners[page] === kKept) --left.kept;
  }
  return left;
}

// ---------------------------------------------------------------- drawing
const ownPaint = owner =>
  owner === kFree ? paint.free : owner === kKept ? paint.kept : owner < kFree ? paint.ink : paintOf(owner);
const numSquares = () => Math.ceil(pool.slots.length / pool.per);
const pageAt = square => pool.slots[square * pool.per];

function paintPages(pixels, now) {
  let isFading = false;
  const isMoving = !isStill.matches && !isByRequest();
  for (let square = 0; square < numSquares(); ++square) {
    const page = pageAt(square), owner = pool.owners[page], rgb = ownPaint(owner), at = square * 4;
    const age = isMoving ? now - pool.changed[page] : kFadeMs;
    const fade = age < kFadeMs ? 0.9 * (1 - age / kFadeMs) : 0;
    if (fade > 0) isFading = true;
    for (let c = 0; c < 3; ++c) pixels[at + c] = rgb[c] + (paint.free[c] - rgb[c]) * fade;
    pixels[at + 3] = pool.chosen !== null && owner !== pool.chosen ? 50 : 255;
  }
  return isFading;
}

function drawPoolNow() {
  const canvas = $("grid"), scale = pixelRatio(), width = widthOf(canvas);
  if (pool.owners.length === 0) { canvas.style.height = "0px"; return; }
  const height = Math.round(Math.min(560, innerHeight * 0.37) * scale);
  if (pool.isStale || width !== pool.width || height !== pool.most) arrange(width, height, scale);
  const { cell, cols, rows } = pool, small = pool.image;
  canvas.style.height = `${rows * cell / scale}px`;
  const g = fit(canvas, rows * cell);
  if (small.width !== cols || small.height !== rows) { small.width = cols; small.height = rows; }
  const h = small.getContext("2d"), image = h.createImageData(cols, rows);
  const isFading = paintPages(image.data, performance.now());
  h.putImageData(image, 0, 0);
  g.clearRect(0, 0, canvas.width, canvas.height);
  g.imageSmoothingEnabled = false;
  g.drawImage(small, 0, 0, cols * cell, rows * cell);
  if (cell >= 5) drawGaps(g, cell >= 9 ? Math.max(1, Math.round(scale)) : 1);
  if (cell >= 6 && pool.per === 1) drawHolders(g);
  if (pool.cursor >= 0 && pool.cursor < numSquares()) drawCursor(g, scale);
  if (isFading) drawPool();
}
export const drawPool = surface($("grid"), drawPoolNow);

function drawGaps(g, gap) {
  const { cell, cols, rows } = pool;
  g.fillStyle = css(paint.card);
  for (let x = 1; x <= cols; ++x) g.fillRect(x * cell - gap, 0, gap, rows * cell);
  for (let y = 1; y <= rows; ++y) g.fillRect(0, y * cell - gap, cols * cell, gap);
}

// A shared page wears a light core: the more holders, the larger.
function drawHolders(g) {
  const { cell, cols, slots } = pool;
  g.fillStyle = css(paint.card);
  for (let square = 0; square < slots.length; ++square) {
    const owner = pool.owners[slots[square]];
    if (owner >= kFree || (pool.chosen !== null && pool.chosen !== owner)) continue;
    const core = Math.min((cell - 1) >> 1, 1 + Math.round(Math.log2(-owner) * cell / 14));
    const inset = (cell - 1 - core) >> 1;
    g.fillRect((square % cols) * cell + inset, Math.floor(square / cols) * cell + inset, core, core);
  }
}

function drawCursor(g, scale) {
  const { cell, cols, cursor } = pool;
  const x = (cursor % cols) * cell, y = Math.floor(cursor / cols) * cell, w = Math.max(1.5, 1.5 * scale);
  g.lineWidth = w;
  g.strokeStyle = css(paint.ink);
  g.strokeRect(x - w, y - w, cell + 2 * w - 1, cell + 2 * w - 1);
}

// The bar of shares: each request's pages in its colour, shared ones, kept ones; what is free stays empty.
function drawShareNow() {
  const canvas = $("share"), num = pool.owners.length;
  const g = fit(canvas, Math.round(canvas.clientHeight * pixelRatio()));
  g.fillStyle = css(paint.free);
  g.fillRect(0, 0, canvas.width, canvas.height);
  if (num === 0) return;
  const sizes = new Map();
  for (const owner of pool.owners) if (owner > 0) sizes.set(owner, (sizes.get(owner) || 0) + 1);
  const parts = [...sizes].sort((a, b) => a[0] - b[0]).map(([id, size]) => [paintOf(id), size]);
  const least = 2 * pixelRatio();  // of a part of the pool, so that a few pages are seen
  let x = 0;
  const draw = (group, total) => {
    const wide = total > 0 ? Math.max(least, total / num * canvas.width) : 0;
    for (const [rgb, size] of group) {
      g.fillStyle = css(rgb);
      g.fillRect(x, 0, wide * size / total, canvas.height);
      x += wide * size / total;
    }
  };
  draw([[paint.ink, pool.shares.shared]].filter(part => part[1] > 0), pool.shares.shared);
  draw(parts, pool.shares.one);
  draw([[paint.kept, pool.shares.kept]].filter(part => part[1] > 0), pool.shares.kept);
}
export const drawShare = surface($("share"), drawShareNow);

// ---------------------------------------------------------------- words
let pageSize = 0;
export function setPageSize(tokens) { pageSize = tokens; }

function describeSize() {
  const { one, shared, kept, free } = pool.shares, left = pool.numLeftOut, total = pool.owners.length;
  const missing = [[left.free, "free"], [left.kept, "kept"]].filter(([n]) => n > 0);
  const words = missing.map(([n, what]) => `${count(n)} ${what}`).join(" and ");
  setText($("poolsize"), [`${count(total)} pages${pageSize > 0 ? ` of ${count(pageSize)} tokens` : ""}`,
    ...(words ? [`${words} not drawn`] : []),
    ...(pool.per > 1 ? [`one square for ${pool.per}`] : [])].join(", "));
  $("grid").setAttribute("aria-label",
    `Page pool: ${count(one + shared)} of ${count(total)} pages in use, ${count(shared)} shared`);
  $("share").setAttribute("aria-label", `Shares of the pool: ${count(one)} pages held by one request, ` +
    `${count(shared)} shared, ${count(kept)} kept for reuse, ${count(free)} free`);
}

function choose(square) {
  const isNone = !(square >= 0 && square < numSquares());
  pool.cursor = isNone ? -1 : square;
  const page = isNone ? -1 : pageAt(square), owner = pool.owners[page];
  pool.chosen = isNone || owner === kFree ? null : owner;
  describeChoice(page, owner);
  drawPool();
}

function describeChoice(page, owner) {
  if (page < 0) {
    setText($("poolnote"), "Point at a page, or focus the grid and use the arrow keys, to see whose it is.");
    return;
  }
  const what = owner === kFree ? "free" : owner === kKept ? "kept for reuse, held by nobody"
    : owner < kFree ? `shared by ${-owner} requests` : `request ${owner}`;
  let num = 0;
  if (owner > 0) for (const other of pool.owners) num += other === owner;
  const own = num ? `, which has ${count(num)} ${num === 1 ? "page" : "pages"} to itself` : "";
  setText($("poolnote"), `Page ${count(page)}: ${what}${own}.`);
}

// ---------------------------------------------------------------- pointer and keys
$("grid").addEventListener("pointermove", e => {
  const box = e.currentTarget.getBoundingClientRect(), cell = pool.cell / pixelRatio();
  const col = Math.floor((e.clientX - box.left) / cell), row = Math.floor((e.clientY - box.top) / cell);
  choose(col < pool.cols ? row * pool.cols + col : -1);
});
$("grid").addEventListener("pointerleave", () => choose(-1));
$("grid").addEventListener("blur", () => choose(-1));
$("grid").addEventListener("keydown", e => {
  const last = numSquares() - 1;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -pool.cols, ArrowDown: pool.cols }[e.key];
  if (step !== undefined) choose(pool.cursor < 0 ? 0 : Math.min(last, Math.max(0, pool.cursor + step)));
  else if (e.key === "Home") choose(0);
  else if (e.key === "End") choose(last);
  else if (e.key === "Escape") choose(-1);
  else return;
  e.preventDefault();
});
for (const radio of document.getElementsByName("order")) {
  radio.addEventListener("change", () => { pool.isStale = true; choose(-1); });
}
