// A subset of Markdown, made of nodes: what a model says is never parsed as HTML, and no address is loaded.
// Blocks: paragraphs, headings, fenced code, quotes, lists, tables, rules. Within a line: code, bold, italic, struck
// out, links. Everything else stays the text that it is.
import { make } from "./base.js";

const kDeepest = 8;      // lists in lists and quotes in quotes; deeper ones are text
const kMostColumns = 40;
const kLongestMark = 1000;  // a longer line is text: no expression below may look at it again and again

const kFence = /^ {0,3}(`{3,}|~{3,}) *([^`]*)$/;
const kHeading = /^ {0,3}(#{1,6})(?: +(.*?))?(?: +#+)? *$/;
const kRule = /^ {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$/;
const kQuote = /^ {0,3}> ?(.*)$/;
const kItem = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)(.*)$/;
const kDelimiterRow = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/;
const isA = (expression, line) => line.length <= kLongestMark && expression.test(line);
const isBlank = line => line.trim() === "";
const indentOf = line => line.length - line.trimStart().length;

// ---------------------------------------------------------------- blocks
// The block that begins at lines[at]: {kind, end: the line behind it, lines: of it}.
function blockAt(lines, at, depth) {
  const line = lines[at], fence = kFence.exec(line);
  if (fence) return untilFence(lines, at, fence);
  if (isA(kHeading, line)) return { kind: heading, end: at + 1 };
  if (isA(kRule, line)) return { kind: rule, end: at + 1 };
  if (depth < kDeepest && kQuote.test(line)) {
    return { kind: quote, end: endOf(lines, at, next => kQuote.test(next)) };
  }
  if (depth < kDeepest && kItem.test(line)) return { kind: list, end: endOfList(lines, at) };
  if (isTable(lines, at)) return { kind: table, end: endOf(lines, at, next => next.includes("|")) };
  const isMore = (next, i) => !isBlank(next) && !beginsBlock(lines, i, depth);
  return { kind: paragraph, end: endOf(lines, at, isMore) };
}

function endOf(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end], end)) ++end;
  return end;
}

function untilFence(lines, at, [, mark]) {
  let end = at + 1;
  const isClose = line => line.trim().length >= mark.length && line.trim() === mark[0].repeat(line.trim().length);
  while (end < lines.length && !isClose(lines[end])) ++end;
  return { kind: code, end: Math.min(lines.length, end + 1), textEnd: end };
}

function beginsBlock(lines, at, depth) {
  const line = lines[at];
  if (kFence.test(line) || isA(kHeading, line) || isA(kRule, line) || isTable(lines, at)) return true;
  return depth < kDeepest && (kQuote.test(line) || (kItem.test(line) && !isBlank(kItem.exec(line)[4])));
}

function isTable(lines, at) {
  const head = lines[at], row = lines[at + 1];
  if (row === undefined || !head.includes("|") || !row.includes("-") || !isA(kDelimiterRow, row)) return false;
  return cellsOf(head).length === cellsOf(row).length;
}

// A list goes on over blank lines as long as items or indented lines follow.
function endOfList(lines, at) {
  let end = at + 1, wasBlank = false;
  for (let i = at + 1; i < lines.length; ++i) {
    const line = lines[i];
    if (isBlank(line)) { wasBlank = true; continue; }
    const isItem = kItem.test(line) && !isA(kRule, line) && isOrdered(line) === isOrdered(lines[at]);
    const isOther = wasBlank || [kItem, kFence, kHeading, kRule].some(expression => isA(expression, line));
    if (!isItem && indentOf(line) < 2 && isOther) break;
    wasBlank = false;
    end = i + 1;
  }
  return end;
}
const isOrdered = line => /^ *\d/.test(line);

function blocksOf(lines, depth) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) { ++at; continue; }
    const block = blockAt(lines, at, depth);
    blocks.push({ ...block, lines: lines.slice(at, block.end), isClosed: block.textEnd !== block.end });
    at = block.end;
  }
  return blocks;
}
const nodesOf = (lines, depth) => blocksOf(lines, depth).map(block => block.kind(block.lines, depth, block));

function paragraph(lines) { return make("p", {}, ...inline(lines.map(line => line.trimStart()).join("\n").trimEnd())); }
function heading([line]) {
  const [, marks, text = ""] = kHeading.exec(line);
  return make(`h${Math.min(6, marks.length + 2)}`, {}, ...inline(text));  // below the page's own headings
}
function rule() { return make("hr"); }
function code(lines, depth, { isClosed }) {
  const [, , language] = kFence.exec(lines[0]), indent = indentOf(lines[0]);
  const text = lines.slice(1, isClosed ? -1 : undefined).map(line => line.slice(Math.min(indent, indentOf(line))));
  const node = make("pre", { tabIndex: 0 }, make("code", {}, text.join("\n")));
  node.setAttribute("aria-label", language.trim() ? `Code, ${language.trim().slice(0, 40)}` : "Code");
  return node;
}
function quote(lines, depth) {
  return make("blockquote", {}, ...nodesOf(lines.map(line => kQuote.exec(line)[1]), depth + 1));
}

function list(lines, depth) {
  const items = [];
  for (const line of lines) {
    const match = kItem.exec(line), item = items[items.length - 1];
    const isSame = match && isOrdered(line) === isOrdered(lines[0]);
    if (!item || (isSame && (indentOf(line) < 2 || indentOf(line) < item.indent))) {
      items.push({ indent: match[1].length + match[2].length + 1, lines: [match[4]] });
    } else {
      item.lines.push(line.slice(Math.min(item.indent, indentOf(line))));
    }
  }
  const start = Number.parseInt(lines[0].trim(), 10), isNumbered = isOrdered(lines[0]);
  return make(isNumbered ? "ol" : "ul", isNumbered ? { start } : {}, ...items.map(item => {
    const box = /^\[([ xX])\] (.*)$/.exec(item.lines[0]);
    if (box) item.lines[0] = `${box[1] === " " ? "☐" : "☑"} ${box[2]}`;
    return make("li", {}, ...nodesOf(item.lines, depth + 1));
  }));
}

function cellsOf(line) {
  const cells = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/);
  return cells.slice(0, kMostColumns).map(cell => cell.trim().replaceAll("\\|", "|"));
}
function table(lines) {
  const sides = cellsOf(lines[1]).map(cell => cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "");
  const row = (line, tag) => {
    const cells = cellsOf(line), cell = i => inline(cells[i] || "");
    return make("tr", {}, ...sides.map((side, i) => make(tag, side ? { className: side } : {}, ...cell(i))));
  };
  const node = make("table", {}, make("thead", {}, row(lines[0], "th")),
    make("tbody", {}, ...lines.slice(2).map(line => row(line, "td"))));
  return make("div", { className: "wide" }, node);
}

// ---------------------------------------------------------------- within a line
const kAddress = /^(?:https?:\/\/|mailto:)[^\s<>]+$/i;
const kLink = new RegExp([/^!?\[((?:[^[\]\\]|\\.){0,400})\]/,
  /\(<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,200})?)>?/,
  /(?: {1,9}"[^"]{0,400}")? {0,9}\)/].map(part => part.source).join(""));
const kMarks = [["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];
const isWord = char => char !== undefined && /[\p{L}\p{N}]/u.test(char);

const anchor = (address, children) =>
  make("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer" }, ...children);

// Each reader returns [length, node] if the text at `at` is its own, else null.
function readEscape(text, at) {
  return /^\\[!-/:-@[-`{-~]/.test(text.slice(at, at + 2)) ? [2, text[at + 1]] : null;
}
function readCode(text, at, state) {
  const [marks] = /^`+/.exec(text.slice(at, at + 64));
  const isClose = i => text[i - 1] !== "`" && text[i + marks.length] !== "`";
  const close = closeOf(text, at + marks.length, marks, state, isClose);
  if (close < 0) return [marks.length, marks];
  const inner = text.slice(at + marks.length, close);
  const isPadded = inner.startsWith(" ") && inner.endsWith(" ") && inner.trim() !== "";
  return [close + marks.length - at, make("code", {}, isPadded ? inner.slice(1, -1) : inner)];
}
function readLink(text, at, state) {
  const match = kLink.exec(text.slice(at, at + 3200));
  if (!match || !kAddress.test(match[2])) return null;
  return [match[0].length, anchor(match[2], state.isLink ? [match[1]] : inline(match[1], { ...state, isLink: true }))];
}
function readAddress(text, at, state) {
  if (state.isLink) return null;
  const match = /^(<?)(https?:\/\/[^\s<>"']{1,2000})(>?)/i.exec(text.slice(at, at + 2100));
  if (!match || (match[1] === "" && isWord(text[at - 1]))) return null;
  if (match[1] && match[3]) return [match[0].length, anchor(match[2], [match[2]])];
  if (match[1]) return null;
  let address = match[2].replace(/[.,:;!?*_~]+$/, "");
  if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
  return [address.length, anchor(address, [address])];
}
function readMark(text, at, state) {
  for (const [mark, tag] of kMarks) {
    if (!text.startsWith(mark, at)) continue;
    const from = at + mark.length, next = text[from], isTight = mark.includes("_");
    if (next === undefined || next === mark || /\s/.test(next) || (isTight && isWord(text[at - 1]))) continue;
    const isClose = i => {
      const before = text[i - 1], behind = text[i + mark.length];
      if (/\s/.test(before) || behind === mark[0] || (isTight && isWord(behind))) return false;
      return mark.length === 2 || before !== mark;
    };
    const close = closeOf(text, from + 1, mark, state, isClose);
    if (close < 0) continue;
    const inner = inline(text.slice(from, close), { ...state, depth: state.depth + 1 });
    return [close + mark.length - at, make(tag, {}, ...inner)];
  }
  return null;
}

// Where the mark ends, or -1. What was not found from one place is not sought again from later ones.
function closeOf(text, from, mark, state, isClose) {
  if (state.missing.get(mark) <= from) return -1;
  for (let i = text.indexOf(mark, from); i >= 0; i = text.indexOf(mark, i + 1)) if (isClose(i)) return i;
  state.missing.set(mark, from);
  return -1;
}

const kReaders = { "\\": readEscape, "`": readCode, "[": readLink, "!": readLink, "<": readAddress, h: readAddress,
  H: readAddress, "*": readMark, "_": readMark, "~": readMark };

// The nodes and strings that a text stands for.
export function inline(text, { depth = 0, isLink = false } = {}) {
  const parts = [], state = { depth, isLink, missing: new Map() };
  let plain = "";
  for (let at = 0; at < text.length;) {
    const reader = depth < kDeepest ? kReaders[text[at]] : undefined;
    const found = reader ? reader(text, at, state) : null;
    const [length, part] = found || [1, text[at]];
    if (typeof part === "string") plain += part;
    else { if (plain) parts.push(plain); plain = ""; parts.push(part); }
    at += length;
  }
  if (plain) parts.push(plain);
  return parts;
}

// ---------------------------------------------------------------- a text that grows
// Makes the children of `node` those of `text`. Blocks that are as they were keep their nodes: a growing answer costs
// its last block at a time.
export function renderMarkdown(node, text) {
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\t", "    ").split("\n");
  const before = node.markdownBlocks || [], blocks = blocksOf(lines, 0);
  const keys = blocks.map(block => `${block.kind.name} ${block.isClosed} ${block.lines.join("\n")}`);
  let same = 0;
  while (same < keys.length && same < before.length && keys[same] === before[same]) ++same;
  while (node.childNodes.length > same) node.lastChild.remove();
  for (const block of blocks.slice(same)) node.append(block.kind(block.lines, 0, block));
  node.markdownBlocks = keys;
}
