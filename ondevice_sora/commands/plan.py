"""plan: search, explain, sweep a grid of plans; list the ready ones, show one; print the JSON Schema."""

from __future__ import annotations

import argparse

from ondevice_sora.commands.common import EXIT_FITS, json_text, output_path, wrote
from ondevice_sora.commands.options import add_force, add_json, add_plan, plan_of
from ondevice_sora.commands.plan_explain import add_explain_arguments, run_explain
from ondevice_sora.commands.plan_search import run_search
from ondevice_sora.commands.plan_sweep import add_sweep_arguments, run_sweep
from ondevice_sora.commands.search_options import add_search_arguments

YAML_WIDTH = 80
EXAMPLES = """
examples:
  ondevice-sora plan list
  ondevice-sora plan show app-256-all
  ondevice-sora plan schema -o plan.schema.json
  ondevice-sora plan search --device iphone15pro --budget 3.3GB -o best.yaml
  ondevice-sora plan explain ours-256
  ondevice-sora plan sweep grid.yaml -o grid.parquet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|schema|search|explain|sweep")
    add_json(actions.add_parser("list", help="ready plans, by name"))
    show = actions.add_parser("show", help="a plan with everything it inherits, as YAML")
    add_plan(show, "a plan file or a ready plan")
    add_json(show)
    schema = actions.add_parser("schema", help="the JSON Schema of plan files, for editors")
    schema.add_argument("-o", "--output", metavar="JSON", help="write it to a file")
    add_force(schema)
    add_search_arguments(actions.add_parser("search", help="the fastest plan that fits a device's memory"))
    add_explain_arguments(actions.add_parser("explain", help="what bounds a plan, and what would change it"))
    add_sweep_arguments(actions.add_parser("sweep", help="every combination of a grid simulated, as one table"))


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    actions = {
        "list": _list,
        "show": _show,
        "schema": _schema,
        "search": run_search,
        "explain": run_explain,
        "sweep": run_sweep,
    }
    return actions[options.action](options) or EXIT_FITS


def _list(options: argparse.Namespace) -> None:
    from ondevice_sora.plans.plan_file import load_plan, ready_plans

    titles = {name: load_plan(path).plan.name for name, path in ready_plans().items()}
    if options.json:
        print(json_text({"plans": [{"name": name, "title": title} for name, title in titles.items()]}))
        return
    from ondevice_sora.reports.terminal.console import table_console
    from ondevice_sora.reports.terminal.table import print_facts

    print_facts(table_console(), titles.items())


def _show(options: argparse.Namespace) -> None:
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.plans.schema import plan_data

    data = plan_data(load_plan(plan_of(options)).plan)
    if options.json:
        print(json_text(data))
        return
    import yaml

    print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=YAML_WIDTH), end="")


def _schema(options: argparse.Namespace) -> None:
    from ondevice_sora.base.files.writing import write_json
    from ondevice_sora.plans.schema import json_schema

    if options.output is None:
        print(json_text(json_schema()))
        return
    path = output_path(options.output, "plan.schema.json", options.force)
    write_json(path, json_schema())
    wrote(path)
