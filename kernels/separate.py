"""Functions that are compiled once and called by address, whoever calls them.

Numba copies the code of every callee into its caller and compiles it there again, and so on up to the parallel loop: in
a chain of seven functions the lowest was compiled seven times, which took most of the time of a first run. A `Kernel`
is compiled by itself; callers hold an external symbol, which the linker finds when their code is loaded. What comes
from the cache names the kernels that it calls (`Callee`), and they are loaded before it.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from functools import cached_property
from typing import NamedTuple

from llvmlite import binding
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.extending import lower_builtin, models, register_model, typeof_impl

_kernels = {}


class Kernel:
    """A compiled function: called by address from other kernels (or inlined, if not `separate`), and from Python.

    `inner` is Numba's function without the wrapper that Python needs, most of which is the unpacking of named tuples;
    `called()` makes the one with it, at the first call from Python.
    """

    def __init__(self, function, inner, called, separate):
        self.py_func, self.inner, self.separate = function, inner, separate
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self.__qualname__, self.__wrapped__ = function.__qualname__, function
        self._called, self._symbols = called, {}
        _kernels[function.__module__, function.__qualname__] = self

    @cached_property
    def dispatcher(self):
        """Numba's function that Python calls."""
        return self._called()

    def __call__(self, *arguments):
        return self.dispatcher(*arguments)

    def linked(self, arguments):
        """(symbol, signature) for these argument types, compiled or loaded, and known to the linker."""
        if arguments not in self._symbols:
            self.inner.compile(arguments)
            result = self.inner.overloads[arguments]
            key = f"{self.__module__}.{self.__qualname__}{arguments}"
            symbol = f"simlr.{self.__name__}.{hashlib.sha256(key.encode()).hexdigest()[:16]}"
            binding.add_symbol(symbol, result.library.get_pointer_to_function(result.fndesc.llvm_func_name))
            self._symbols[arguments] = symbol, result.signature
        return self._symbols[arguments]


class Callee(NamedTuple):
    """A kernel that compiled code calls: to be loaded before that code. Saved beside it in the cache."""

    module: str
    name: str
    arguments: tuple

    def __call__(self):
        importlib.import_module(self.module)
        _kernels[self.module, self.name].linked(self.arguments)


class SeparateType(types.Callable):
    """Numba's type of a separate kernel."""

    def __init__(self, kernel):
        self.kernel = kernel
        super().__init__(name=f"kernel {kernel.__module__}.{kernel.__qualname__} at {id(kernel):#x}")

    def get_call_type(self, context, args, kws):
        """The signature of a call with these types; its callee is compiled first."""
        own = inspect.signature(self.kernel.py_func)
        try:
            bound = own.bind(*args, **kws)
        except TypeError as error:
            raise TypingError(f"{self.kernel.__qualname__}: {error}") from None
        arguments = tuple(types.unliteral(argument) for argument in bound.args)
        symbol, signature = self.kernel.linked(arguments)
        callee = Callee(self.kernel.__module__, self.kernel.__qualname__, arguments)
        lower_builtin(self.get_impl_key(signature), *arguments)(_call_of(symbol, callee))
        return signature.replace(pysig=own)

    def get_call_signatures(self):
        """None is known before a call."""
        return (), True

    def get_impl_key(self, sig):
        """What Numba looks up how to emit the call by."""
        return self, sig.args


def _call_of(symbol, callee):
    """How to emit the call of an external symbol with Numba's calling convention."""

    def emit(context, builder, signature, arguments):
        convention = context.call_conv
        function_type = convention.get_function_type(signature.return_type, signature.args)
        function = cgutils.get_or_insert_function(builder.module, function_type, symbol)
        status, value = convention.call_function(builder, function, signature.return_type, signature.args, arguments)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        # Numba runs these before it loads the code from the cache; a test says when it no longer does.
        context.active_code_library._reload_init.add(callee)
        return value

    return emit


register_model(SeparateType)(models.OpaqueModel)


@typeof_impl.register(Kernel)
def _typeof_kernel(kernel, context):
    """A separate kernel has a type of its own; one to be inlined goes Numba's way."""
    return SeparateType(kernel) if kernel.separate else types.Dispatcher(kernel.inner)


@lower_constant(SeparateType)
def _kernel_constant(context, builder, kernel_type, kernel):
    """A kernel is known by its type alone."""
    return context.get_dummy_value()
