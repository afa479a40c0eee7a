// The chat. The conversation is kept for as long as the tab is: a reload shows it again.
import { $, count, headers, isNumber, make, recall, remember, seconds, setText } from "./base.js";
import { live } from "./live.js";
import { renderMarkdown } from "./markdown.js";

const kStore = "quire.chat", kSettings = ["system", "temperature", "most"];
let turns = [];        // {role, content, facts: a line below it}
let answering = null;  // {controller, turn} while an answer comes

// ---------------------------------------------------------------- what is shown
function addSaid(turn) {
  const text = make("div", { className: "text", dir: "auto" });
  const facts = make("div", { className: "facts" }, turn.facts || "");
  const who = make("span", { className: "unseen" }, turn.role === "user" ? "You: " : "Model: ");
  $("log").append(make("div", { className: `said ${turn.role}` }, who, text, facts));
  if (turn.role === "assistant") renderMarkdown(text, turn.content);
  else text.append(turn.content);
  $("log").scrollTop = $("log").scrollHeight;
  return { text, facts };
}

// ---------------------------------------------------------------- what is kept
function keep(more = []) {
  const settings = Object.fromEntries(kSettings.map(id => [id, $(id).value]));
  remember("sessionStorage", kStore, JSON.stringify({ turns: [...turns, ...more], settings, draft: $("ask").value }));
}

const isTurn = turn => turn && ["user", "assistant"].includes(turn.role) && typeof turn.content === "string";
function restore() {
  let kept = null;
  try { kept = JSON.parse(recall("sessionStorage", kStore)); } catch { /* not ours */ }
  if (!kept || !Array.isArray(kept.turns)) return;
  turns = kept.turns.filter(isTurn);
  for (const id of kSettings) if (typeof kept.settings?.[id] === "string") $(id).value = kept.settings[id];
  if (typeof kept.draft === "string") $("ask").value = kept.draft;
  if (turns.at(-1)?.role === "user") $("ask").value = turns.pop().content;  // asked, and never answered
  for (const turn of turns) addSaid(turn);
}

// ---------------------------------------------------------------- the request
// {data, at}: the data of each server-sent event, and when it was read. Lines may be cut anywhere between two reads.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read(), at = performance.now();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield { data: line.slice(5).trim(), at };
  }
}

function requestBody() {
  const system = $("system").value.trim(), temperature = $("temperature").value.trim(), most = $("most").value.trim();
  const said = turns.map(({ role, content }) => ({ role, content }));
  return JSON.stringify({
    ...(live.model ? { model: live.model } : {}),
    messages: [...(system ? [{ role: "system", content: system }] : []), ...said],
    stream: true, stream_options: { include_usage: true, continuous_usage_stats: true },
    ...(temperature ? { temperature: Number(temperature) } : {}),
    ...(most ? { max_tokens: Number(most) } : {}),
  });
}

// Calls onChunk(text, number of tokens so far or undefined, time of the read).
async function streamAnswer(signal, onChunk) {
  const how = { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: requestBody(), signal };
  const answer = await fetch("v1/chat/completions", how);
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Error(`${answer.status}: ${said?.error?.message ?? answer.statusText}`);
  }
  for await (const { data, at } of events(answer.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(String(chunk.error.message ?? "the server gave up"));
    const text = chunk.choices?.[0]?.delta?.content;
    onChunk(typeof text === "string" ? text : "", chunk.usage?.completion_tokens, at);
  }
}

// ---------------------------------------------------------------- what it took
const kLeastReads = 4, kLeastSpanMs = 250;

// Tokens per second between the first and the last of the reads [{at: ms, tokens: so far}], or null where they tell
// nothing: tokens that wait for each other come in one read, and the time between two reads is then no time of theirs.
export function speedOf(reads) {
  const first = reads[0], last = reads[reads.length - 1], span = reads.length ? last.at - first.at : 0;
  if (reads.length < kLeastReads || span < kLeastSpanMs || last.tokens <= first.tokens) return null;
  return (last.tokens - first.tokens) / (span / 1e3);
}

export function factsOf(startMs, firstMs, endMs, reads) {
  const tokens = reads.at(-1)?.tokens, speed = speedOf(reads);
  const tookS = seconds((endMs - startMs) / 1e3), unit = tokens === 1 ? "token" : "tokens";
  return [
    ...(firstMs ? [`first token after ${seconds((firstMs - startMs) / 1e3)}`] : []),
    ...(isNumber(tokens) ? [`${count(tokens)} ${unit} in ${tookS}`] : []),
    ...(speed === null ? [] : [`${speed < 9.95 ? speed.toFixed(1) : count(speed)}\u00a0tokens/s`]),
  ].join(", ");
}

function noteRead(reads, at, tokens) {
  const last = reads.at(-1);
  if (last?.at === at) last.tokens = Math.max(last.tokens, tokens);
  else if (tokens > (last?.tokens ?? 0)) reads.push({ at, tokens });
}

async function ask(question) {
  const turn = { role: "assistant", content: "", facts: "" }, own = turns;  // a new chat may begin meanwhile
  own.push({ role: "user", content: question });
  addSaid(own.at(-1));
  const { text, facts } = addSaid(turn), start = performance.now(), reads = [];
  let first = 0, last = start, isAsked = false, fault = "", end = "";
  const draw = () => {  // once a frame, however fast the tokens come
    isAsked = false;
    const log = $("log"), isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    renderMarkdown(text, turn.content);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  };
  setText(facts, "waiting for the first token");
  setAnswering({ controller: new AbortController(), turn, turns: own });
  keep();
  try {
    await streamAnswer(answering.controller.signal, (more, tokens, at) => {
      last = at;
      if (isNumber(tokens)) noteRead(reads, at, tokens);
      if (!more) return;
      if (!first) { first = at; setText(facts, ""); }
      turn.content += more;
      if (!isAsked) { isAsked = true; requestAnimationFrame(draw); }
    });
    setText($("spoken"), "Answer complete");
  } catch (error) {
    const isStopped = error.name === "AbortError";
    if (!isStopped) fault = error.message;
    end = isStopped ? "stopped" : "broken off";
    setText($("spoken"), isStopped ? "Stopped" : "The request failed");
  }
  draw();
  if (fault) text.after(make("div", { className: "text fault" }, fault));
  if (turn.content) own.push(turn);
  else own.pop();  // a question without an answer would confuse the next one
  turn.facts = [...(first ? [factsOf(start, first, last, reads)] : []), ...(first && end ? [end] : [])].join(", ");
  setText(facts, turn.facts);
  setAnswering(null);
  keep();
}

function setAnswering(now) {
  answering = now;
  $("send").disabled = now !== null;
  $("stop").hidden = now === null;
  if (now) setText($("spoken"), "Answering");
}

// ---------------------------------------------------------------- what people do
$("form").addEventListener("submit", e => {
  e.preventDefault();
  const question = $("ask").value.trim();
  if (!question || answering) return;
  $("ask").value = "";
  ask(question);
});
$("ask").addEventListener("keydown", e => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
  e.preventDefault();
  $("form").requestSubmit();
});
$("stop").addEventListener("click", () => { answering?.controller.abort(); $("ask").focus(); });
$("clear").addEventListener("click", () => {
  answering?.controller.abort();
  turns = [];
  $("log").replaceChildren();
  setText($("spoken"), "");
  keep();
  $("ask").focus();
});
for (const id of kSettings) $(id).addEventListener("change", () => keep());
window.addEventListener("pagehide", () => {  // what has come of an answer stays
  const isPart = answering?.turns === turns && answering.turn.content;
  keep(isPart ? [{ ...answering.turn, facts: "interrupted: the page was left" }] : []);
});

restore();
