"""plan: search, explain, sweep a grid of plans; list the ready ones, show one; print the JSON Schema."""

from __future__ import annotations

import argparse

from ondevice_sora.commands.common import EXIT_FITS, output_path
from ondevice_sora.commands.plan_search import add_explain_arguments, add_search_arguments, run_explain, run_search
from ondevice_sora.commands.plan_sweep import add_sweep_arguments, run_sweep

EXAMPLES = """
examples:
  ondevice-sora plan list
  ondevice-sora plan show app-256-all
  ondevice-sora plan schema -o plan.schema.json
  ondevice-sora plan search --device iphone15pro --model opensora-256 --memory 3.3GB -o best.yaml
  ondevice-sora plan explain ours-256
  ondevice-sora plan sweep grid.yaml -o grid.parquet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|schema|search|explain|sweep")
    actions.add_parser("list", help="ready plans, by name")
    show = actions.add_parser("show", help="a plan with everything it inherits, as YAML")
    show.add_argument("plan", help="a plan file or a ready plan")
    schema = actions.add_parser("schema", help="the JSON Schema of plan files, for editors")
    schema.add_argument("-o", "--output", metavar="JSON", help="write it to a file")
    schema.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    add_search_arguments(actions.add_parser("search", help="the fastest plan that fits a device's memory"))
    add_explain_arguments(actions.add_parser("explain", help="what bounds a plan, and what would change it"))
    add_sweep_arguments(actions.add_parser("sweep", help="every combination of a grid simulated, as one table"))


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    import json

    from ondevice_sora.plans.schema import json_schema, load_plan, plan_data, ready_plans

    if options.action == "search":
        return run_search(options)
    if options.action == "explain":
        return run_explain(options)
    if options.action == "sweep":
        return run_sweep(options)
    if options.action == "list":
        for name, path in ready_plans().items():
            print(f"{name:16} {load_plan(path).plan.name}")
    elif options.action == "show":
        import yaml

        plan = load_plan(options.plan).plan
        print(yaml.safe_dump(plan_data(plan), sort_keys=False, allow_unicode=True, width=110), end="")
    elif options.output is not None:
        from ondevice_sora.base.files.writing import write_json

        path = output_path(options.output, "plan.schema.json", options.force)
        write_json(path, json_schema())
        print(f"Wrote {path}")
    else:
        print(json.dumps(json_schema(), indent=1))
    return EXIT_FITS
