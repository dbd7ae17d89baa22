// Einsum: sums of products over named axes. Operands are contracted one after another; an axis is summed as soon as nothing needs it.

import { takeAlong } from '../../lang/functions.ts';
import { type AnyTensor, here, Tensor } from '../../lang/tensor.ts';
import { iota } from '../../lang/variable.ts';
import { type NodeContext, type Operator, shapeOf } from '../node-context.ts';
import { wrap } from './values.ts';

/** A tensor whose axes have names, each once. Axes of an ellipsis are named by their distance from its end: '.0', '.1', … */
interface Named {
  readonly names: readonly string[];
  readonly tensor: AnyTensor;
}

const einsum: Operator = (node) => {
  const inputs = node.allInputs();
  const equation = node.string('equation').replace(/\s/g, '');
  const [left, right, ...rest] = equation.split('->');
  const terms = left!.split(',');
  if (rest.length > 0 || terms.length !== inputs.length || ![...terms, right ?? ''].every(isTerm))
    node.invalid(`an equation for ${inputs.length} operands expected, '${equation}' given`);
  const named = inputs.map((input, i) => namesOf(node, terms[i]!, shapeOf(input).length));
  const result = right === undefined ? impliedResult(named) : expandedResult(node, right, named);
  const sizes = sizesOf(node, named, inputs.map(shapeOf));
  const operands = inputs.map(({ tensor }, i) => diagonal({ names: named[i]!, tensor }));
  const needed = (from: number): ReadonlySet<string> =>
    new Set([...result, ...operands.slice(from).flatMap(({ names }) => names)]);
  let product = summed(operands[0]!, needed(1));
  for (const [i, operand] of operands.entries()) {
    if (i === 0) continue;
    const kept = needed(i + 1);
    product = contracted(product, summed(operand, new Set([...kept, ...product.names])), kept, sizes);
  }
  return wrap(inputs[0]!.type, arranged(product, result, sizes));
};

const isTerm = (term: string): boolean => /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term);

/** Names of an operand's axes. */
function namesOf(node: NodeContext, term: string, rank: number): string[] {
  const letters = term.replace('...', '').length;
  const hasEllipsis = term.includes('...');
  if (hasEllipsis ? letters > rank : letters !== rank)
    node.invalid(`'${term}' names ${letters} axes, its operand has ${rank}`);
  return expanded(term, rank - letters);
}

function expanded(term: string, hidden: number): string[] {
  const [before, after] = term.split('...');
  const dots = after === undefined ? [] : Array.from({ length: hidden }, (_, i) => `.${hidden - 1 - i}`);
  return [...before!, ...dots, ...(after ?? '')];
}

/** Without an arrow: the ellipsis, then in order of the alphabet the letters that occur once. */
function impliedResult(named: readonly (readonly string[])[]): string[] {
  const all = named.flat();
  const letters = all.filter((name) => name.length === 1 && all.indexOf(name) === all.lastIndexOf(name)).sort();
  return [...ellipsisOf(named), ...letters];
}

function expandedResult(node: NodeContext, term: string, named: readonly (readonly string[])[]): string[] {
  const result = expanded(term, ellipsisOf(named).length);
  const all = new Set(named.flat());
  if (new Set(result).size !== result.length || !result.every((name) => all.has(name)))
    node.invalid(`'${term}' expected to name axes of operands, each once`);
  return result;
}

function ellipsisOf(named: readonly (readonly string[])[]): string[] {
  const dots = new Set(named.flat().filter((name) => name.length > 1));
  return Array.from(dots, (_, i) => `.${dots.size - 1 - i}`);
}

/** The size of each axis; axes of one element stretch. */
function sizesOf(
  node: NodeContext,
  named: readonly (readonly string[])[],
  shapes: readonly (readonly number[])[],
): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  named.forEach((names, i) => {
    names.forEach((name, axis) => {
      const [size, before] = [shapes[i]![axis]!, sizes.get(name) ?? 1];
      if (size !== before && size !== 1 && before !== 1)
        node.invalid(`axis ${name} has ${before} elements in one operand, ${size} in another`);
      sizes.set(name, before === 1 ? size : before);
    });
  });
  return sizes;
}

/** Axes with the same name become their diagonal. */
function diagonal(operand: Named): Named {
  const { names, tensor } = operand;
  const second = names.findIndex((name, i) => names.indexOf(name) < i);
  if (second < 0) return operand;
  const first = names.indexOf(names[second]!);
  const shape: readonly number[] = tensor.value.type.shape;
  const picked = shape.map((dim, axis) => (axis === second ? 1 : dim));
  const taken: AnyTensor = takeAlong(tensor, iota(picked, first), second);
  const dropped = <T>(list: readonly T[]): T[] => list.filter((_, axis) => axis !== second);
  return diagonal({ names: dropped(names), tensor: taken.reshape(dropped(picked)) });
}

/** Without the axes that nothing needs. */
function summed({ names, tensor }: Named, needed: ReadonlySet<string>): Named {
  const axes = names.flatMap((name, axis) => (needed.has(name) ? [] : [axis]));
  if (axes.length === 0) return { names, tensor };
  return { names: names.filter((name) => needed.has(name)), tensor: tensor.sum(axes) };
}

/** The product of two operands, summed over the axes that are not kept. */
function contracted(lhs: Named, rhs: Named, kept: ReadonlySet<string>, sizes: ReadonlyMap<string, number>): Named {
  // An axis of one element that stretches is no axis of the product with an operand that has all its elements.
  const [left, right] = [stretched(lhs, rhs, sizes), stretched(rhs, lhs, sizes)];
  const shared = left.names.filter((name) => right.names.includes(name));
  const [batch, contract] = [shared.filter((name) => kept.has(name)), shared.filter((name) => !kept.has(name))];
  const places = ({ names }: Named, list: readonly string[]): number[] => list.map((name) => names.indexOf(name));
  const product = here('einsum').dot(left.tensor.value, right.tensor.value, {
    contract: [places(left, contract), places(right, contract)],
    batch: [places(left, batch), places(right, batch)],
  });
  const free = ({ names }: Named): string[] => names.filter((name) => !shared.includes(name));
  return summed({ names: [...batch, ...free(left), ...free(right)], tensor: new Tensor(product) }, kept);
}

/** Without axes of one element where the other operand has more. */
function stretched({ names, tensor }: Named, other: Named, sizes: ReadonlyMap<string, number>): Named {
  const shape: readonly number[] = tensor.value.type.shape;
  const isDropped = (name: string, axis: number): boolean =>
    shape[axis] === 1 && sizes.get(name) !== 1 && other.names.includes(name);
  if (!names.some(isDropped)) return { names, tensor };
  return {
    names: names.filter((name, axis) => !isDropped(name, axis)),
    tensor: tensor.reshape(shape.filter((_, axis) => !isDropped(names[axis]!, axis))),
  };
}

function arranged({ names, tensor }: Named, result: readonly string[], sizes: ReadonlyMap<string, number>): AnyTensor {
  const ordered: AnyTensor = tensor.transpose(result.map((name) => names.indexOf(name)));
  return ordered.broadcastTo(result.map((name) => sizes.get(name)!));
}

export const einsumOperators: Readonly<Record<string, Operator>> = { Einsum: einsum };
