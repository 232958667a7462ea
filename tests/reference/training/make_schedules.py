"""Adds learning rates of transformers' get_scheduler to schedules.json, for settings that its first cases do not have."""

import json
import os

import torch
from transformers import get_inverse_sqrt_schedule, get_scheduler

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedules.json")
MORE = [
    ("cosine", 3, {"num_cycles": 1.5}),
    ("cosine_with_min_lr", 2, {"min_lr_rate": 0.2, "num_cycles": 0.75}),
    ("cosine_with_min_lr", 0, {"min_lr": 1e-4}),
    ("cosine_warmup_with_min_lr", 4, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 4, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.25}),
    ("cosine_warmup_with_min_lr", 0, {"min_lr_rate": 0.3}),
    ("warmup_stable_decay", 4, {"num_decay_steps": 7, "warmup_type": "cosine", "decay_type": "linear"}),
    ("warmup_stable_decay", 4, {"num_decay_steps": 7, "warmup_type": "1-sqrt", "decay_type": "1-sqrt", "min_lr_ratio": 0.2}),
    ("warmup_stable_decay", 2, {"num_decay_steps": 6, "num_stable_steps": 5, "num_cycles": 1.25}),
    ("inverse_sqrt", 4, {"timescale": 9}),
    ("inverse_sqrt", 0, {"timescale": 3}),
]

with open(FILE) as file:
    document = json.load(file)
known = [(c["schedule"], c["warmup_steps"], c.get("options", {})) for c in document["schedules"]]
total, base = 20, 2e-3
for name, warmup, options in MORE:
    if (name, warmup, options) in known:
        continue
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    # With a count of stable steps of its own, transformers wants no total beside it.
    steps = None if "num_stable_steps" in options else total
    # get_scheduler may drop the time scale, so the schedule itself is asked.
    if name == "inverse_sqrt":
        schedule = get_inverse_sqrt_schedule(optimizer, warmup, **options)
    else:
        schedule = get_scheduler(name, optimizer, warmup, steps, scheduler_specific_kwargs=dict(options))
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    document["schedules"].append(
        {
            "schedule": name,
            "base_lr": base,
            "warmup_steps": warmup,
            "total_steps": total,
            "options": options,
            "lr_used_at_step": rates,
            "lr_after_last_step": optimizer.param_groups[0]["lr"],
        }
    )
with open(FILE, "w") as file:
    cases = ",\n".join("    " + json.dumps(c) for c in document["schedules"])
    file.write(f'{{\n  "note": {json.dumps(document["note"])},\n  "schedules": [\n{cases}\n  ]\n}}\n')
