"""Kernels compiled for another processor: from what Numba lowers, before anything of this machine is in it.

    python tests/support/cross.py TRIPLE SIGNATURES

reads a pickle {(module, kernel): argument types}, compiles each with all that it inlines, for the processor of the
triple, and prints {kernel: {mnemonic: how often}} as JSON. To be run with a cache of its own: cached code has no IR.
"""

import collections
import importlib
import json
import pickle
import re
import sys

import numba
from llvmlite import binding
from numba.core import codegen

from simlr.kernels import jit, separate


def lowered(module, name, arguments):
    """The modules of a kernel and of what it inlines, as Numba hands them to LLVM, as text."""
    found, before = [], codegen.CPUCodeLibrary.add_ir_module

    def add(library, made):
        found.append(str(made))
        before(library, made)

    codegen.CPUCodeLibrary.add_ir_module = add
    importlib.import_module(module)
    numba.njit(**jit.OPTIONS, **jit.UNCOUNTED)(separate._kernels[module, name].py_func).compile(arguments)
    codegen.CPUCodeLibrary.add_ir_module = before
    return found


def assembled(texts, machine):
    """The assembly of some modules together, optimised."""
    whole = None
    for text in texts:
        text = re.sub(r"^target triple = .*$", f'target triple = "{machine.triple}"', text, flags=re.M)
        text = re.sub(r"^target datalayout = .*$", f'target datalayout = "{machine.target_data}"', text, flags=re.M)
        part = binding.parse_assembly(text)
        part.verify()
        if whole is None:
            whole = part
        else:
            whole.link_in(part)
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    binding.create_pass_builder(machine, options).getModulePassManager().run(
        whole, binding.create_pass_builder(machine, options)
    )
    return machine.emit_assembly(whole)


def main(triple, path):
    """Compile all of them."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine(opt=2)
    with open(path, "rb") as file:
        wanted = pickle.load(file)
    told = {}
    for (module, name), arguments in wanted.items():
        texts = lowered(module, name, arguments)
        assembly = assembled(texts, machine)
        words = collections.Counter(re.findall(r"^\t([a-z][\w.]*)", assembly, flags=re.M))
        strange = sorted(set(re.findall(r"llvm\.x86\.[\w.]+|\basm\b", "\n".join(texts))))
        told[f"{module}.{name}"] = {"words": words, "strange": strange}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
