// WGSL identifiers from users' names.

import { identifierRule, UniqueNames } from '../names.ts';

/** Keywords, reserved words, predeclared types and functions of WGSL (sections 16.1, 16.2 and 17), and ours. */
const reserved: ReadonlySet<string> = new Set(
  (
    'alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let loop ' +
    'override requires return struct switch true var while NULL Self abstract active alignas alignof as asm asm_fragment async ' +
    'attribute auto await become cast catch class co_await co_return co_yield coherent column_major common compile ' +
    'compile_fragment concept const_cast consteval constexpr constinit crate debugger decltype delete demote demote_to_helper ' +
    'do dynamic_cast enum explicit export extends extern external fallthrough filter final finally friend from fxgroup get goto ' +
    'groupshared highp impl implements import inline instanceof interface layout lowp macro macro_rules match mediump meta mod ' +
    'module move mut mutable namespace new nil noexcept noinline nointerpolation non_coherent noncoherent noperspective null ' +
    'nullptr of operator package packoffset partition pass patch pixelfragment precise precision premerge priv protected pub ' +
    'public readonly ref regardless register reinterpret_cast require resource restrict self set shared sizeof smooth snorm ' +
    'static static_assert static_cast std subroutine super target template this thread_local throw trait try type typedef ' +
    'typeid typename typeof union unless unorm unsafe unsized use using varying virtual volatile wgsl where with writeonly ' +
    'yield array bool f16 f32 i32 u32 atomic ptr sampler vec2 vec3 vec4 vec2f vec3f vec4f vec2i vec3i vec4i vec2u vec3u vec4u ' +
    'mat2x2 mat3x3 mat4x4 bitcast all any select arrayLength abs acos acosh asin asinh atan atanh atan2 ceil clamp cos cosh ' +
    'cross degrees determinant distance dot exp exp2 extractBits faceForward floor fma fract frexp insertBits inverseSqrt ldexp ' +
    'length log log2 max min mix modf normalize pow quantizeToF16 radians reflect refract reverseBits round saturate sign sin ' +
    'sinh smoothstep sqrt step tan tanh transpose trunc countOneBits main workgroup invocation read write read_write storage ' +
    'uniform private function workgroupBarrier storageBarrier workgroupUniformLoad'
  ).split(' '),
);

/** Letters, digits and underscores; two of them do not begin a name. */
const toIdentifier = identifierRule((name) => reserved.has(name) || name.startsWith('__'));

export class Names extends UniqueNames {
  constructor(taken: Iterable<string> = []) {
    super(toIdentifier, taken);
  }
}
