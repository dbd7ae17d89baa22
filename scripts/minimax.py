"""The polynomials of src/codegen/c/math: python3 scripts/minimax.py [NAME ...] prints their coefficients as C literals.

Remez's second algorithm on a fine grid (E. Ya. Remez, C. R. Acad. Sci. Paris 199, 1934), in 60 digits: the polynomial of
least maximal weighted error. What must be exact (the 1 and the r of e^r = 1 + r + ...) is no part of the polynomial, so
rounding its coefficients costs little; the error printed is that of the rounded ones. Needs mpmath and numpy.
"""

import sys

import mpmath as mp
import numpy as np

mp.mp.dps = 60
GRID = 1200


def chebyshev_grid(low, high, count=GRID):
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]


def remez(points, values, weights, count):
    """`count` coefficients from the constant on, of the least maximal weighted error on the grid."""
    reference = [round(i * (len(points) - 1) / count) for i in range(count + 1)]
    powers = [[x**k for k in range(count)] for x in points]
    for _ in range(60):
        matrix = mp.matrix(count + 1, count + 1)
        right = mp.matrix(count + 1, 1)
        for row, at in enumerate(reference):
            for column in range(count):
                matrix[row, column] = powers[at][column]
            matrix[row, count] = (-1) ** row / weights[at]
            right[row] = values[at]
        solution = mp.lu_solve(matrix, right)
        errors = [w * (mp.fdot(powers[i], solution[:count]) - values[i]) for i, w in enumerate(weights)]
        # The largest error of every run of equal sign; while they are too many, the smaller end goes.
        extrema = [0]
        for i in range(1, len(points)):
            if (errors[i] > 0) != (errors[extrema[-1]] > 0):
                extrema.append(i)
            elif abs(errors[i]) > abs(errors[extrema[-1]]):
                extrema[-1] = i
        while len(extrema) > count + 1:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        largest = max(abs(error) for error in errors)
        if len(extrema) < count + 1 or largest <= abs(solution[count]) * mp.mpf('1.0001'):
            break
        reference = extrema
    return solution[:count]


def rounded(function, weight, low, high, count, to):
    """Coefficients rounded by `to`, and the largest weighted error with them."""
    points = [x for x in chebyshev_grid(mp.mpf(low), mp.mpf(high)) if x != 0]
    values, weights = [function(x) for x in points], [weight(x) for x in points]
    coefficients = [to(coefficient) for coefficient in remez(points, values, weights, count)]
    polynomial = [mp.mpf(coefficient) for coefficient in reversed(coefficients)]
    return coefficients, max(abs(w * (mp.polyval(polynomial, x) - y)) for x, y, w in zip(points, values, weights))


def single(x):
    return float(np.float32(float(x)))


def double(x):
    return float(x)


HALF_LN2 = mp.log(2) / 2 * mp.mpf('1.002')
QUARTER_PI = mp.pi / 4 * mp.mpf('1.0005')


def even(function):
    """A function of z = x² from one of x."""
    return lambda z: function(mp.sqrt(z))


def quantile_ratio(w):
    """z/x for the standard normal quantile -z at p <= 1/2, where x = 1 - 2p and w = -log(4p(1 - p)) = -log(1 - x^2)."""
    x = mp.sqrt(-mp.expm1(-w))
    tail = mp.exp(-w) / (1 + x)  # 2p = erfc y, z = y sqrt 2
    if tail > mp.mpf('0.05'):
        return mp.sqrt(2) * mp.erfinv(x) / x
    y = mp.sqrt(-mp.log(tail))
    for _ in range(30):
        error = (mp.erfc(y) - tail) * mp.exp(y * y) * mp.sqrt(mp.pi) / -2
        y -= error / (1 + error * y)
    return mp.sqrt(2) * y / x


POLYNOMIALS = {
    # name: (what P approximates, weight, low, high, number of coefficients, type)
    # e^r - 1 = r + r²P(r), relative error of e^r - 1
    'exp': (lambda r: (mp.expm1(r) - r) / r**2, lambda r: abs(r**2 / mp.expm1(r)), -HALF_LN2, HALF_LN2, 5, single),
    # cosh r = 1 + z/2 + z²P(z), sinh r = r + r z P(z)
    'cosh': (even(lambda r: (mp.cosh(r) - 1 - r**2 / 2) / r**4), lambda z: z**2, 0, HALF_LN2**2, 2, single),
    'sinh': (even(lambda r: (mp.sinh(r) - r) / r**3), lambda z: z, 0, HALF_LN2**2, 3, single),
    # log(1 + f) = f - f²/2 + f³P(f)
    'log': (
        lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
        lambda f: abs(f**3 / mp.log1p(f)),
        mp.mpf(-1) / 3,
        mp.mpf(1) / 3,
        9,
        single,
    ),
    # erf a = 1 - exp(-a (c + P(a))), c the f32 next to 2/√π: the derivative of erf by P is a exp(-a (c + P))
    'erf': (
        lambda a: -mp.log(mp.erfc(a)) / a - mp.mpf(single(2 / mp.sqrt(mp.pi))),
        lambda a: a * mp.erfc(a) / mp.erf(a),
        0,
        mp.mpf('3.93'),
        9,
        single,
    ),
    # sin r = r + r z P(z), cos r = 1 - z/2 + z²P(z), tan r = r + r z P(z), z = r²
    'sin': (even(lambda r: (mp.sin(r) - r) / r**3), even(lambda r: r**3 / mp.sin(r)), 0, QUARTER_PI**2, 3, single),
    'cos': (
        even(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4),
        even(lambda r: r**4 / mp.cos(r)),
        0,
        QUARTER_PI**2,
        3,
        single,
    ),
    'tan': (even(lambda r: (mp.tan(r) - r) / r**3), even(lambda r: r**3 / mp.tan(r)), 0, QUARTER_PI**2, 6, single),
    # asin t = t + t z P(z) for t ≤ ½; atan t = t + t z P(z) for t ≤ 1
    'asin': (even(lambda t: (mp.asin(t) - t) / t**3), even(lambda t: t**3 / mp.asin(t)), 0, mp.mpf('0.25'), 5, single),
    'atan': (even(lambda t: (mp.atan(t) - t) / t**3), even(lambda t: t**3 / mp.atan(t)), 0, 1, 8, single),
    # normal quantile, in f32: z/x = P(w) up to w = 6, and √w Q(1/√w - 1/4) from there to where p is subnormal
    'quantile': (quantile_ratio, lambda w: 1 / quantile_ratio(w), 0, 6, 10, single),
    'quantile_tail': (
        lambda v: quantile_ratio(1 / (v + mp.mpf('0.25')) ** 2) * (v + mp.mpf('0.25')),
        lambda v: 1 / (quantile_ratio(1 / (v + mp.mpf('0.25')) ** 2) * (v + mp.mpf('0.25'))),
        1 / mp.mpf('9.4') - mp.mpf('0.25'),
        1 / mp.sqrt(6) - mp.mpf('0.25'),
        9,
        single,
    ),
    # the same as exp in f64; log(1 + f) = 2 atanh s with s = f/(2 + f) = 2 (s + s z P(z)), z = s²
    'exp_f64': (
        lambda r: (mp.expm1(r) - r) / r**2,
        lambda r: abs(r**2 / mp.expm1(r)),
        -HALF_LN2,
        HALF_LN2,
        11,
        double,
    ),
    'log_f64': (even(lambda s: (mp.atanh(s) - s) / s**3), even(lambda s: s**3 / mp.atanh(s)), 0, mp.mpf('0.17158') ** 2, 7, double),
    # in f64, for pow: log2(1 + f) = f P(f), 2^r = 1 + r P(r)
    'log2': (
        lambda f: mp.log1p(f) / mp.log(2) / f,
        lambda f: abs(f * mp.log(2) / mp.log1p(f)),
        mp.mpf(-1) / 3,
        mp.mpf(1) / 3,
        14,
        double,
    ),
    'exp2': (
        lambda r: (mp.power(2, r) - 1) / r,
        lambda r: abs(r) / mp.power(2, r),
        mp.mpf('-0.5'),
        mp.mpf('0.5'),
        6,
        double,
    ),
}

if __name__ == '__main__':
    for name in sys.argv[1:] or POLYNOMIALS:
        function, weight, low, high, count, to = POLYNOMIALS[name]
        coefficients, error = rounded(function, weight, low, high, count, to)
        print(f'{name}: weighted error {mp.nstr(error, 3)} = 2^{mp.nstr(mp.log(error, 2), 4)}')
        for coefficient in coefficients:
            print(f'  {coefficient:.9g}f' if to is single else f'  {coefficient:.17g}')
