#!/usr/bin/env python3
"""Makes the golden models: tiny random models of each decoder family, with what Hugging Face computes for them.

    pip install torch transformers safetensors      # made with torch 2.15, transformers 5.23
    python3 make_goldens.py [MODEL ...]             # rewrites the named folders beside this file, or all of them

Each folder is a model in Hugging Face layout (config.json, generation_config.json, safetensors) plus golden.json:

    {"source":            versions of torch and transformers,
     "dtype":             "float32" | "float16" | "bfloat16", the dtype of the stored weights,
     "inv_freq":          [head_dim / 2] RoPE frequencies,
     "attention_factor":  what sine and cosine are multiplied by,
     "noise":             largest |logit| difference between Hugging Face's run in `dtype` and the reference,
     "prompts": [
       {"tokens":      [prompt_len] token ids,
        "logits":      [{"position": index of a token, "values": [vocab_size] logits after that token}, ...],
                       the last one after the last token of the prompt,
        "greedy":      [24] token ids that follow greedily,
        "min_margin":  smallest difference between best and second logit over the 24 steps}, ...]}

Logits are the reference: the stored weights, widened to float64, through the eager implementation of transformers.
Greedy tokens are the same in that run and in Hugging Face's run in `dtype`, and `min_margin` is more than
twice `noise`, so that another correct implementation must find the same tokens.

rope.json holds frequencies of further RoPE settings, without models: [{"config": fields of a config.json,
"head_dim": n, "inv_freq": [...], "attention_factor": x}, ...].
"""

import json
import pathlib
import shutil
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

FOLDER = pathlib.Path(__file__).resolve().parent
NUM_STEPS = 24
NUM_CANDIDATES = 1024  # prompts of each length, of which the one with the clearest margins is kept
MIN_DISTINCT = 8      # greedy answers with fewer different tokens are degenerate
VOCAB = 128

LLAMA = dict(architecture="Llama", vocab_size=VOCAB, hidden_size=32, intermediate_size=56, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5,
             bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)


def rope(rope_type, theta=10000.0, **rest):
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": theta, **rest}}


# `dtype`, `prompt_lens`, `shard_size` and `old_spelling` (config.json as before transformers 5) steer this script; the
# rest are fields of the configuration.
MODELS = {
    "llama": LLAMA | dict(prompt_lens=[40, 77]),
    "llama_llama3_rope": LLAMA | dict(
        old_spelling=True, head_dim=16, num_attention_heads=2, num_key_value_heads=1,
        **rope("llama3", 10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=32)),
    "llama_linear_rope_f16": LLAMA | dict(
        dtype="float16", hidden_size=48, intermediate_size=96, num_attention_heads=6, num_key_value_heads=3,
        **rope("linear", 500.0, factor=2.5)),
    "llama_yarn_bias": LLAMA | dict(
        attention_bias=True, mlp_bias=True, hidden_act="gelu_pytorch_tanh", num_key_value_heads=1,
        **rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=64)),
    "llama_bf16": LLAMA | dict(dtype="bfloat16", hidden_size=48, intermediate_size=96, num_attention_heads=3,
                               num_key_value_heads=3),
    "mistral_window": LLAMA | dict(architecture="Mistral", old_spelling=True, sliding_window=13, head_dim=12,
                                   num_hidden_layers=3, intermediate_size=40),
    "qwen2_window": LLAMA | dict(architecture="Qwen2", use_sliding_window=True, sliding_window=17, max_window_layers=1,
                                 num_hidden_layers=3, intermediate_size=40, rms_norm_eps=1e-6,
                                 **rope("default", 1000000.0)),
    "qwen3_sharded": LLAMA | dict(architecture="Qwen3", head_dim=16, tie_word_embeddings=True, shard_size="40KB",
                                  rms_norm_eps=1e-6, eos_token_id=[2, 3],
                                  **rope("default", 1000000.0)),
    "qwen3_yarn_bf16": LLAMA | dict(
        architecture="Qwen3", dtype="bfloat16", hidden_size=40, intermediate_size=96, head_dim=24, hidden_act="gelu",
        **rope("yarn", 1000000.0, factor=2.0, original_max_position_embeddings=48, beta_fast=8.0, beta_slow=0.5,
               truncate=False, mscale=1.0, mscale_all_dim=0.7)),
    # Soft caps, norms on both sides, and windows in three of five layers.
    "gemma2": LLAMA | dict(
        architecture="Gemma2", num_hidden_layers=5, hidden_size=48, head_dim=12, hidden_activation="gelu_pytorch_tanh",
        sliding_window=13, query_pre_attn_scalar=20, attn_logit_softcapping=2.5, final_logit_softcapping=9.0,
        tie_word_embeddings=True, rms_norm_eps=1e-6),
}

# (configuration, head_dim): settings of published models and the corners of the rules.
ROPE_CASES = [
    ({"rope_theta": 10000.0}, 128),
    ({"rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}}, 128),
    ({"rope_theta": 500000.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}}, 64),
    ({"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 8.0}}, 100),
    ({"rope_theta": 1000000.0, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}, 128),
    ({"rope_theta": 1000000.0, "max_position_embeddings": 131072, "rope_scaling": {
        "rope_type": "yarn", "factor": None, "original_max_position_embeddings": 32768}}, 128),
    ({"max_position_embeddings": 8192, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 16.0, "original_max_position_embeddings": 4096,
        "beta_fast": 64, "beta_slow": 2, "attention_factor": 0.75}}, 64),
    ({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "original_max_position_embeddings": 4096,
        "truncate": False}}, 64),
    ({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096,
        "mscale": 1.0, "mscale_all_dim": 0.5}}, 64),
    ({"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096,
        "mscale": 0.707, "mscale_all_dim": 0, "beta_fast": 0}}, 64),
    ({"rope_parameters": {  # both bounds of the ramp fall on one pair
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 4,
        "beta_fast": 32, "beta_slow": 16}}, 32),
    ({"max_position_embeddings": 2048, "original_max_position_embeddings": 1024, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 512}}, 32),
]


def short(values):
    """Numbers with as many digits as float32 needs."""
    return [float(f"{value:.8g}") for value in values]


def make_config(settings):
    kwargs = {k: v for k, v in settings.items()
              if k not in ("architecture", "dtype", "prompt_lens", "shard_size", "old_spelling")}
    config = getattr(transformers, settings["architecture"] + "Config")(**kwargs)
    config.architectures = [settings["architecture"] + "ForCausalLM"]
    return config


def randomise(model, seed, gain):
    """Norms and biases that matter, and weights that make attention selective, as far as rounding allows `gain`."""
    generator = torch.Generator().manual_seed(seed)
    is_gemma = model.config.model_type.startswith("gemma")
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            low = -0.5 if is_gemma else 0.5  # Gemma multiplies by 1 + weight
            weight.uniform_(low, low + 1.0, generator=generator)
        elif name.endswith(".bias"):
            weight.normal_(0.0, 0.3, generator=generator)
        else:
            # Where embeddings are scaled and serve as the head too, large ones make a model that repeats itself.
            embedding_std = 0.1 if is_gemma else 1.0
            std = embedding_std if "embed" in name else gain / weight.shape[1] ** 0.5
            weight.normal_(0.0, std, generator=generator)


def spell_as_before_transformers_5(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    scaling = config.pop("rope_parameters")
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = None if scaling["rope_type"] == "default" else scaling
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def continue_greedily(model, tokens):
    """Returns the greedy answers and the smallest margin of each: [batch, NUM_STEPS], [batch]."""
    answers, margins, cache, newest = [], [], None, tokens
    for _ in range(NUM_STEPS):
        output = model(newest, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, logits = output.past_key_values, output.logits[:, -1]
        margins.append(top_margins(logits))
        newest = logits.argmax(-1, keepdim=True)
        answers.append(newest)
    return torch.cat(answers, dim=1), torch.stack(margins).amin(dim=0)


def top_margins(logits):
    best = logits.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


def make_prompt(reference, stored, searcher, prompt_len, generator):
    """The random prompt whose greedy answer is clearest, and the noise of the stored dtype on its whole sequence."""
    prompts = torch.randint(4, VOCAB, (NUM_CANDIDATES, prompt_len), generator=generator)
    prompts[:, 0] = 1
    answers, margins = continue_greedily(searcher, prompts)
    distinct = torch.tensor([len(set(answer.tolist())) for answer in answers])
    margins[distinct < MIN_DISTINCT] = -1.0
    choice = margins.argmax()
    assert distinct[choice] >= MIN_DISTINCT, "no answer varies enough"
    tokens, answer = prompts[choice], answers[choice]

    sequence = torch.cat([tokens, answer])[None]
    exact = reference(sequence, use_cache=False).logits[0]
    rounded = stored(sequence, use_cache=False).logits[0].double()
    noise = (rounded - exact).abs().max().item()
    for logits in (exact, rounded):
        assert torch.equal(logits[prompt_len - 1:-1].argmax(-1), answer), "reference and stored dtype answer differently"
    margin = top_margins(exact[prompt_len - 1:-1]).min().item()
    positions = [0, prompt_len // 2, prompt_len - 1]
    return noise, {
        "tokens": tokens.tolist(),
        "logits": [{"position": p, "values": short(exact[p].tolist())} for p in positions],
        "greedy": answer.tolist(),
        "min_margin": round(margin, 6),
    }


def try_seed(folder, settings, seed):
    dtype_name = settings.get("dtype", "float32")
    dtype = getattr(torch, dtype_name)
    model = AutoModelForCausalLM.from_config(make_config(settings), attn_implementation="eager")
    randomise(model, seed, gain=1.6 if dtype == torch.float32 else 1.0)
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=settings.get("shard_size", "1GB"))
    if settings.get("old_spelling"):
        spell_as_before_transformers_5(folder)

    # What was written is what is measured.
    def load(as_dtype):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=as_dtype, attn_implementation="eager")

    stored, searcher, reference = load(dtype), load(torch.float32), load(torch.float32).double()
    generator = torch.Generator().manual_seed(seed + 1000)
    made = [make_prompt(reference, stored, searcher, n, generator) for n in settings.get("prompt_lens", [45, 64])]
    noise = max(n for n, _ in made)
    margin = min(prompt["min_margin"] for _, prompt in made)
    rotary = stored.model.rotary_emb
    golden = {
        "source": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "dtype": dtype_name,
        "inv_freq": short(rotary.inv_freq.tolist()),
        "attention_factor": rotary.attention_scaling,
        "noise": float(f"{noise:.3g}"),
        "prompts": [prompt for _, prompt in made],
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    return noise, margin


def make_model(name, settings):
    folder = FOLDER / name
    for seed in range(20):
        try:
            noise, margin = try_seed(folder, settings, seed)
        except AssertionError as reason:
            print(f"{name}: seed {seed}: {reason}")
            continue
        print(f"{name}: seed {seed}: noise {noise:.2e}, margin {margin:.3f}", flush=True)
        if margin > max(0.02, 2.0 * noise):
            return
    raise SystemExit(f"{name}: no seed gives clear margins")


def make_rope_cases():
    cases = []
    for fields, head_dim in ROPE_CASES:
        config = transformers.LlamaConfig(hidden_size=head_dim, num_attention_heads=1, head_dim=head_dim,
                                          **json.loads(json.dumps(fields)))
        rope_type = config.rope_parameters["rope_type"]
        compute = (transformers.models.llama.modeling_llama.LlamaRotaryEmbedding.compute_default_rope_parameters
                   if rope_type == "default" else ROPE_INIT_FUNCTIONS[rope_type])
        inv_freq, factor = compute(config, device="cpu")
        cases.append({"config": fields, "head_dim": head_dim, "inv_freq": short(inv_freq.tolist()),
                      "attention_factor": factor})
    (FOLDER / "rope.json").write_text("[" + ",\n ".join(json.dumps(case) for case in cases) + "]\n")


@torch.no_grad()
def main():
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in sys.argv[1:] or MODELS:
        make_model(name, MODELS[name])
    make_rope_cases()


if __name__ == "__main__":
    main()
