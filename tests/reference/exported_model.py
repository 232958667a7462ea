"""Loads an exported folder with transformers and says what it computes, for tests/cli/contract-fields.long.test.ts.

usage: exported_model.py FOLDER REQUEST.json OUT
REQUEST: {"texts": [...], "chats": [[{"role", "content"}, ...], ...], "new_tokens": n}
Writes OUT.json: {"ids": [[...]], "vocab": n, "dtype": str, "answers": [{"ids": [...], "text": str}]}
and OUT.bin: float32 logits of every position of every text, one after the other.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, request_path, out = sys.argv[1:4]
with open(request_path, encoding="utf-8") as file:
    request = json.load(file)
torch.set_flush_denormal(True)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
stored = str(next(model.parameters()).dtype)
model = model.float().eval()

ids, answers = [], []
with torch.no_grad(), open(out + ".bin", "wb") as binary:
    for text in request["texts"]:
        encoded = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids.append(encoded)
        logits = model(torch.tensor([encoded])).logits[0].float().contiguous()
        binary.write(logits.numpy().tobytes())
    for chat in request["chats"]:
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        made = model.generate(**prompt, do_sample=False, max_new_tokens=request["new_tokens"])
        new = made[0, prompt["input_ids"].shape[1]:].tolist()
        answers.append({"ids": new, "text": tokenizer.decode(new, skip_special_tokens=True)})
with open(out + ".json", "w", encoding="utf-8") as file:
    json.dump({"ids": ids, "vocab": model.config.vocab_size, "dtype": stored, "answers": answers}, file)
