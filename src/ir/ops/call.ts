// Calls of nested functions. They are inlined before differentiation and lowering; the evaluator enters them.

import { InternalError } from '../errors.ts';
import { type OpTable, TypeMismatch } from '../optable.ts';
import { formatType, sameType } from '../types.ts';

export const callOps: Pick<OpTable, 'call'> = {
  call: {
    doc: 'Applies a nested function to the operands.',
    infer: (operands, { callee }) => {
      const expected = callee.parameters.map(({ value }) => value.type);
      const fits =
        operands.length === expected.length && operands.every((operand, i) => sameType(operand, expected[i]!));
      if (!fits)
        throw new TypeMismatch(
          `@${callee.name}(${expected.map(formatType).join(', ')}) cannot take (${operands.map(formatType).join(', ')})`,
        );
      return callee.results.map(({ value }) => value.type);
    },
    evaluate: (operands, { callee }, _results, apply) => apply(callee, operands),
    jvp: () => {
      throw new InternalError('calls are inlined before differentiation');
    },
    vjp: () => {
      throw new InternalError('calls are inlined before differentiation');
    },
    batch: (b, { attrs }, { values, batched, func }) => b.call(...values, { callee: func(attrs.callee, batched).func }),
    lowering: { class: 'expanded' },
    examples: [
      {
        text: 'func @g(%a: f32[2]) {\n  %0 = exp(%a)\n  return y = %0\n}\nfunc @f(%x: f32[2]) {\n  %0 = call(%x) {callee=@g}\n  return y = %0\n}',
        differentiable: false,
      },
    ],
  },
};
