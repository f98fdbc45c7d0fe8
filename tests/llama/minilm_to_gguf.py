"""all-MiniLM-L6-v2 as llama.cpp reads it: minilm_to_gguf.py FOLDER OUT. FOLDER holds config.json, vocab.txt, model.safetensors.

Names of tensors come from the gguf package's own table; matrices become float16, vectors and small tables stay float32.
"""
import json
import pathlib
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPACE = "\u2581"  # marks the beginning of a word


def token(text):
    """The spelling and the kind of one line of vocab.txt."""
    if text in SPECIAL:
        return text, gguf.TokenType.CONTROL
    if text.startswith("[unused"):
        return SPACE + text, gguf.TokenType.UNUSED
    return (text[2:] if text.startswith("##") else SPACE + text), gguf.TokenType.NORMAL


def add_shape(w, config):
    w.add_name("all-MiniLM-L6-v2")
    w.add_license("apache-2.0")
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(config["num_attention_heads"])
    w.add_layer_norm_eps(config["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_token_type_count(config["type_vocab_size"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_words(w, vocab):
    spelled = [token(t) for t in vocab]
    at = vocab.index
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("bert-bge")
    w.add_token_list([s for s, _ in spelled])
    w.add_token_types([kind for _, kind in spelled])
    w.add_unk_token_id(at("[UNK]"))
    w.add_pad_token_id(at("[PAD]"))
    w.add_mask_token_id(at("[MASK]"))
    w.add_bos_token_id(at("[CLS]"))
    w.add_sep_token_id(at("[SEP]"))
    w.add_eos_token_id(at("[SEP]"))


def add_weights(w, tensors, blocks):
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, blocks)
    for name, value in tensors.items():
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue  # not used for sentence embeddings
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert known, f"unknown tensor {name}"
        exact = value.ndim == 1 or known.startswith(("position_embd", "token_types"))
        w.add_tensor(known, value.astype(np.float32 if exact else np.float16))


def main(folder, out):
    config = json.loads((folder / "config.json").read_text())
    vocab = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:config["vocab_size"]]
    w = gguf.GGUFWriter(out, "bert")
    add_shape(w, config)
    add_words(w, vocab)
    add_weights(w, load_file(folder / "model.safetensors"), config["num_hidden_layers"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main(pathlib.Path(sys.argv[1]), sys.argv[2])
