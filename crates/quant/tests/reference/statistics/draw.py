"""Draws shared by the scripts of the statistics."""

import math


class Draw:
    """The generator and the laws of `mod.rs`: exact operations only, so the same floats."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 32) / 4294967296.0

    def normal(self):
        total = 0.0
        for _ in range(12):
            total += self.uniform()
        return total - 6.0

    def student5(self):
        z, squares = self.normal(), 0.0
        for _ in range(5):
            x = self.normal()
            squares += x * x
        return z / math.sqrt(squares / 5.0) * math.sqrt(0.6)
