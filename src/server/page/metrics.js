// What /metrics says, and what two readings of it say together.
import { isNumber } from "./base.js";

export const kTtft = "vllm:time_to_first_token_seconds", kGap = "vllm:inter_token_latency_seconds";
const kSums = {  // summed over their labels
  "vllm:num_requests_running": "running", "vllm:num_requests_waiting": "waiting",
  "vllm:generation_tokens_total": "generated", "vllm:num_preemptions_total": "preemptions",
  "vllm:prefix_cache_queries_total": "queries", "vllm:prefix_cache_hits_total": "hits",
  "quire:kv_pages_held": "held", "vllm:kv_cache_usage_perc": "usage",
  "quire:steps_total": "steps", "quire:step_seconds_total": "stepSeconds",
};

// {running, waiting, generated, …; prompt: prompt tokens computed; histograms: name -> edge -> count below}
export function parseMetrics(text) {
  const found = { histograms: { [kTtft]: new Map(), [kGap]: new Map() } };
  const add = (name, value) => { found[name] = (found[name] || 0) + value; };
  for (const line of text.split("\n")) {
    const match = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const [, name, labels = "", number] = match, value = Number(number);
    if (kSums[name]) add(kSums[name], value);
    else if (name === "quire:step_tokens_total" && !labels.includes('kind="decode"')) add("prompt", value);
    else if (name.endsWith("_bucket")) addBucket(found.histograms[name.slice(0, -7)], labels, value);
  }
  return found;
}

function addBucket(buckets, labels, value) {
  const le = /(?:^|,)le="([^"]+)"/.exec(labels);
  if (!buckets || !le) return;
  const edge = le[1] === "+Inf" ? Infinity : Number(le[1]);
  buckets.set(edge, (buckets.get(edge) || 0) + value);
}

// The quantile of what was counted between two readings of a histogram, or null if nothing was.
export function quantile(now, before, q) {
  const edges = [...now.keys()].sort((a, b) => a - b), at = edge => now.get(edge) - (before.get(edge) || 0);
  const total = edges.length ? at(edges[edges.length - 1]) : 0;
  if (!(total > 0)) return null;
  let low = 0, below = 0;
  for (const edge of edges) {
    const sum = at(edge);
    if (sum >= q * total) {
      return edge === Infinity ? low : low + (edge - low) * (sum > below ? (q * total - below) / (sum - below) : 1);
    }
    low = edge;
    below = sum;
  }
  return low;
}

const kWindowS = 3, kWindowSteps = 5, kLongestWindowS = 30;

// Rates of counters that move only when a step ends. A rate is taken from one end of a step to another, over some
// steps and some seconds: between two readings within one step nothing moves, and dividing by such a time, or by the
// short one around a step's end, would be no speed at all.
export class StepMeter {
  ends = [];  // readings {at, steps, stepSeconds, generated, prompt}: behind ends of steps, and while nothing runs

  add(now) {
    if (![now.at, now.steps, now.generated].every(isNumber)) return;
    const last = this.ends[this.ends.length - 1];
    if (last && (now.steps < last.steps || now.generated < last.generated)) this.ends.length = 0;  // a new server
    if (this.ends.length && now.steps === last.steps && now.running !== 0) return;
    // The very first reading falls somewhere within a step, which says little until many steps have ended.
    const isEnd = this.ends.length > 0 || now.running === 0;
    if (this.ends.length === 1 && !this.ends[0].isEnd && now.steps - this.ends[0].steps < 8) this.ends.length = 0;
    this.ends.push({ ...now, isEnd });
    const isOld = end => now.at - end.at > kLongestWindowS;
    while (this.ends.length > 2 && isOld(this.ends[1])) this.ends.shift();
  }

  // Seconds since a step was seen to end, while something runs.
  waitingS(now) {
    const last = this.ends[this.ends.length - 1];
    return last && now.running > 0 ? now.at - last.at : 0;
  }

  // {generated, prompt}: tokens per second; stepS: mean time of a step. null: not known yet.
  rates(now) {
    const num = this.ends.length, last = this.ends[num - 1];
    if (num < 2) return { generated: null, prompt: null, stepS: null };
    let i = num - 2;
    while (i > 0 && !this.isEnough(this.ends[i], last)) --i;
    const first = this.ends[i], span = last.at - first.at, waiting = this.waitingS(now);
    // A step that takes longer than all before it makes the rate smaller while it lasts.
    const time = waiting > span ? now.at - first.at : span;
    if (time < kWindowS) return { generated: null, prompt: null, stepS: this.stepS(first, last) };
    const rate = name => isNumber(last[name]) ? Math.max(0, (last[name] - (first[name] || 0)) / time) : null;
    return { generated: rate("generated"), prompt: rate("prompt"), stepS: this.stepS(first, last) };
  }

  stepS(first, last) {
    const num = last.steps - first.steps;
    return num > 0 && isNumber(last.stepSeconds) ? (last.stepSeconds - first.stepSeconds) / num : null;
  }

  isEnough(first, last) {
    const span = last.at - first.at;
    return span >= kLongestWindowS || span >= Math.max(kWindowS, kWindowSteps * (this.stepS(first, last) || 0));
  }
}
