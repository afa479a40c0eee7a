"""Trains the byte-level BPE tokenizer on generated chats and writes tokenizer.json, tokenizer_config.json, special_tokens_map.json.

    python3 tokenizer.py
"""

import argparse
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from generate import FOLDER, train_chat

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END_OF_TEXT, START, END]
# Words take one leading space; every digit stands alone.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CHAT_TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
                 "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def corpus(seed: int, chats: int):
    for index in range(chats):
        turns, system = train_chat(seed, index, 512 if index % 2 else 1152)
        yield "user\nassistant\nsystem\n" + (system or "")
        for user, answer in turns:
            yield user
            yield answer


def train(seed: int, chats: int, vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=[AddedToken(name, special=True) for name in SPECIAL],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(seed, chats), trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--chats", type=int, default=20000)
    parser.add_argument("--vocabulary", type=int, default=2048)
    args = parser.parse_args()
    tokenizer = train(args.seed, args.chats, args.vocabulary)
    tokenizer.save(str(FOLDER / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 4096, "bos_token": None, "eos_token": END, "pad_token": END_OF_TEXT,
              "add_bos_token": False, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE}
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (FOLDER / "special_tokens_map.json").write_text(json.dumps({"eos_token": END, "pad_token": END_OF_TEXT}, indent=2) + "\n")


if __name__ == "__main__":
    main()
