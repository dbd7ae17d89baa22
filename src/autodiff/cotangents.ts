// The sum of the cotangents that reach one value. Where a value was cut into parts (an LSTM's gates, the steps of a
// sequence, the heads of attention), each part's cotangent arrives with zeros around it: such parts are joined, not added.
// Where a value was used twice on the way to another (x in x · erf(x)), both cotangents are multiples of that one's: the
// factors are added first. They depend on the forward pass alone, so one array of them is kept instead of one of each.

import type { Builder } from '../ir/builder.ts';
import type { Node, Value } from '../ir/graph.ts';

/** A cotangent that is zero but for one stretch of one axis. */
interface Part {
  readonly axis: number;
  readonly begin: number;
  readonly end: number;
  readonly inner: Value;
}

/** Σ cotangents, of which there is at least one. */
export function sumOfCotangents(b: Builder, cotangents: readonly Value[]): Value {
  return joinParts(b, cotangents).reduce((sum, cotangent) => addMultiples(b, sum, cotangent) ?? b.add(sum, cotangent));
}

/** Most multiplications through which a common factor is looked for. */
const longestProduct = 6;

/** g · (p + q) for the sum of g · p and g · q, where g is the first factor of both; null where there is none. */
function addMultiples(b: Builder, x: Value, y: Value): Value | null {
  const [ofX, ofY] = [firstFactors(x), firstFactors(y)];
  const common = ofX.find((factor) => factor !== x && factor !== y && ofY.includes(factor));
  if (common === undefined) return null;
  const rest = (product: Value): Value => {
    const { operands } = product.producer as Node<'mul'>;
    const [first, second] = operands as readonly [Value, Value];
    return first === common ? second : b.mul(rest(first), second);
  };
  return b.mul(common, b.add(rest(x), rest(y)));
}

/** A product's first factor, that factor's own and so on, beginning with the product itself: how chain rules multiply. */
function firstFactors(product: Value): Value[] {
  const factors = [product];
  for (let i = 0; i < longestProduct; i++) {
    const { producer } = factors[i]!;
    if (producer === null || producer.op !== 'mul') break;
    factors.push(producer.operands[0]!);
  }
  return factors;
}

/** Parts along one axis that do not overlap become one value; everything else stays as it is. */
function joinParts(b: Builder, cotangents: readonly Value[]): readonly Value[] {
  const found = cotangents.map(partOf);
  const axis = found.find((part) => part !== null)?.axis;
  const parts = found.filter((part): part is Part => part !== null && part.axis === axis);
  const ordered = parts.sort((p, q) => p.begin - q.begin);
  if (ordered.length < 2 || ordered.some(({ begin }, i) => i > 0 && begin < ordered[i - 1]!.end)) return cotangents;
  const rest = cotangents.filter((_, i) => found[i] === null || found[i]!.axis !== axis);
  return [...rest, joined(b, cotangents[0]!.type.shape, ordered)];
}

/** The parts one after another, zeros where there is none. */
function joined(b: Builder, shape: readonly number[], parts: readonly Part[]): Value {
  const { axis } = parts[0]!;
  const extents = (length: number): number[] => shape.map((dim, i) => (i === axis ? length : dim));
  const { dtype } = parts[0]!.inner.type;
  const zeros = (length: number): Value[] => (length === 0 ? [] : [b.fill({ dtype, shape: extents(length) }, 0)]);
  const pieces = parts.flatMap(({ begin, inner }, i) => [...zeros(begin - (i === 0 ? 0 : parts[i - 1]!.end)), inner]);
  return b.concat(...pieces, ...zeros(shape[axis]! - parts.at(-1)!.end), { axis });
}

/** How the derivative of a slice looks: the whole of `inner` with zeros before and after it along one axis. */
function partOf(cotangent: Value): Part | null {
  const { producer } = cotangent;
  if (producer === null || producer.op !== 'pad') return null;
  const { attrs, operands } = producer as Node<'pad'>;
  const { low, high, interior, value } = attrs;
  const padded = low.flatMap((cells, axis) => (cells !== 0 || high[axis] !== 0 ? [axis] : []));
  const plain = value === 0 && [...low, ...high].every((cells) => cells >= 0) && interior.every((cells) => cells === 0);
  if (!plain || padded.length !== 1) return null;
  const [axis] = padded as [number];
  const [inner] = operands as readonly [Value];
  return { axis, begin: low[axis]!, end: low[axis]! + inner.type.shape[axis]!, inner };
}
