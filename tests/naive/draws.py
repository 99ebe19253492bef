"""Slow, obvious twins of the draws: Philox4x64-10 in Python integers. Imports nothing of simlr."""

from decimal import Decimal, localcontext

WORD = 2**64


def philox(counter, key):
    """The block of four words for a counter of four and a key of two, straight from Salmon et al. (2011)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product_0 = 0xD2E7470EE14C6C93 * c0
        product_1 = 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (
            (product_1 // WORD) ^ c1 ^ k0,
            product_1 % WORD,
            (product_0 // WORD) ^ c3 ^ k1,
            product_0 % WORD,
        )
        k0 = (k0 + 0x9E3779B97F4A7C15) % WORD
        k1 = (k1 + 0xBB67AE8584CAA73B) % WORD
    return [c0, c1, c2, c3]


def words(root, seed, purpose, step, count):
    """The first `count` words of a stream. Block b has the counter (b + 1, step, purpose, 0)."""
    key = [root % WORD, seed % WORD]
    found = []
    for block in range((count + 3) // 4):
        found += philox([block + 1, step % WORD, purpose % WORD, 0], key)
    return found[:count]


def uniforms(root, seed, purpose, step, count):
    """The upper 53 bits of each word, as a fraction of 2^53."""
    return [(word // 2**11) / 2**53 for word in words(root, seed, purpose, step, count)]


def order(root, seed, purpose, step, count):
    """The places of the uniforms from the smallest to the largest; Python's sort is stable."""
    keys = uniforms(root, seed, purpose, step, count)
    return sorted(range(count), key=keys.__getitem__)


def ziggurat_edges(tail_start, layers):
    """Marsaglia and Tsang's edges x_1 < ... < x_255 and the area of a layer, with forty digits.

    All layers have the area v = r f(r) + integral of f beyond r, f(x) = exp(-x^2 / 2); x_(i-1) follows from
    f(x_(i-1)) = f(x_i) + v / x_i. The integral is f(r) / (r + 1/(r + 2/(r + 3/(r + ...)))).
    """
    with localcontext() as context:
        context.prec = 40
        r = Decimal(tail_start)
        fraction = Decimal(0)
        for k in range(200, 0, -1):
            fraction = k / (r + fraction)
        density = (-r * r / 2).exp()
        area = r * density + density / (r + fraction)
        edges = [r]
        for _ in range(layers - 2):
            x = edges[0]
            edges.insert(0, (-2 * ((-x * x / 2).exp() + area / x).ln()).sqrt())
    return edges, area
