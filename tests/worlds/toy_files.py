"""A model file of three small units, and a plan for it."""

TOY_MODEL = """\
name: toy
source: made up
components:
  - name: denoiser
    passes: steps
    units:
      - {name: a, parameters: 1000, plain: {matmul_flops: 1e9}}
      - {name: b, parameters: 1000, plain: {working_elements: 1e3}}
      - {name: c, parameters: 1000, plain: {}, tdtm: {token_merges: 1}}
"""
TOY_PLAN = "name: toy\nmodel: model.yaml\nsampler: {steps: 3}\n"
