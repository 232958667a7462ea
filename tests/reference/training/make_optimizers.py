"""Reference trajectories of optimizers that the other cases do not have: `python make_optimizers.py [name …]` beside base-llama and data.safetensors.

SGD is torch.optim.SGD, Adafactor transformers' own as its Trainer sets it. Lion is not part of torch; it is written here as published (Chen et al. 2023, algorithm 2), decay decoupled.
Everything in float64 besides the float32 run, whose distance from it sets the tolerance: 8 times, rounded up.
"""

import json
import math
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, get_scheduler
from transformers.optimization import Adafactor

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


class Lion(torch.optim.Optimizer):
    def __init__(self, groups, lr, betas):
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(torch.sign(m * b1 + p.grad * (1 - b1)), alpha=group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


CASES = {
    "adafactor": {"optimizer": "adafactor", "lr": 0.003, "decay_rate": -0.8, "clip_threshold": 1.0},
    "lion": {"optimizer": "lion", "lr": 0.001, "betas": [0.9, 0.99]},
    "sgd-nesterov": {"optimizer": "sgd", "lr": 0.3, "momentum": 0.9, "nesterov": True},
    "sgd-plain": {"optimizer": "sgd", "lr": 0.5, "momentum": 0.0, "nesterov": False},
}
COMMON = {"steps": 12, "accumulation": 2, "weight_decay": 0.1, "max_grad_norm": 1.0, "warmup_steps": 3, "schedule": "cosine"}


def train(h, dtype):
    model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "base-llama"), dtype=dtype, attn_implementation="eager").train()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(dtype))
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for p in named.values() if p.ndim >= 2], "weight_decay": h["weight_decay"]},
        {"params": [p for p in named.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    if h["optimizer"] == "lion":
        optimizer = Lion(groups, h["lr"], h["betas"])
    elif h["optimizer"] == "adafactor":
        own = {"decay_rate": h["decay_rate"], "clip_threshold": h["clip_threshold"]}
        optimizer = Adafactor(groups, lr=h["lr"], scale_parameter=False, relative_step=False, **own)
    else:
        optimizer = torch.optim.SGD(groups, lr=h["lr"], momentum=h["momentum"], nesterov=h["nesterov"])
    schedule = get_scheduler(h["schedule"], optimizer, h["warmup_steps"], h["steps"])
    data = load_file(os.path.join(HERE, "data.safetensors"))
    log = {"loss": [], "grad_norm": [], "lr": [], "label_tokens": []}
    for step in range(h["steps"]):
        labels = data["labels"][step]
        count = int((labels[:, :, 1:] != -100).sum())
        total = 0.0
        for micro in range(h["accumulation"]):
            out = model(input_ids=data["input_ids"][step, micro], attention_mask=data["attention_mask"][step, micro])
            loss = torch.nn.functional.cross_entropy(
                out.logits[:, :-1].reshape(-1, out.logits.shape[-1]), labels[micro][:, 1:].reshape(-1), ignore_index=-100, reduction="sum"
            )
            (loss / count).backward()
            total += loss.item() / count
        norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in named.values())).item()
        for p in named.values():
            p.grad.mul_(min(1.0, h["max_grad_norm"] / (norm + 1e-6)))
        log["loss"].append(total)
        log["grad_norm"].append(norm)
        log["lr"].append(optimizer.param_groups[0]["lr"])
        log["label_tokens"].append(count)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    with torch.no_grad():
        logits = model(input_ids=data["input_ids"][0, 0], attention_mask=data["attention_mask"][0, 0]).logits
    return log, {name: p.detach() for name, p in named.items()}, logits


def rounded_up(value):
    scale = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / scale) * scale


for name, own in CASES.items():
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    h = {**COMMON, **own}
    log, weights, logits = train(h, torch.float64)
    log32, weights32, logits32 = train(h, torch.float32)
    distance = lambda a, b: max(abs(x - y) for x, y in zip(a, b))
    tolerance = {
        "loss": rounded_up(max(8 * distance(log["loss"], log32["loss"]), 7e-6)),
        "grad_norm_rel": rounded_up(8 * max(abs(x / y - 1) for x, y in zip(log["grad_norm"], log32["grad_norm"]))),
        "final_weight": rounded_up(max(8 * max((weights[k] - weights32[k]).abs().max().item() for k in weights), 1e-6)),
        "final_logits": rounded_up(8 * (logits - logits32).abs().max().item()),
    }
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    save_file(
        {**{f"final/{k}": v.float().contiguous() for k, v in weights.items()}, "final_logits": logits.float().contiguous()},
        os.path.join(folder, "expected.safetensors"),
    )
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(
            {"base": "base-llama", "hyperparameters": h, "trainable": list(weights), "log": log, "tolerance_abs": tolerance}, file, indent=1
        )
        file.write("\n")
    print(name, log["loss"][0], log["loss"][-1], tolerance)
