// What the process of one framework answers: peers/ has the processes, webgpu.ts asks them.

/** What a framework did with a device. */
export interface Reading {
  /** Calls of dispatchWorkgroups and dispatchWorkgroupsIndirect. */
  readonly dispatches: number;
  readonly submissions: number;
  /** Bytes of every buffer range bound to a dispatch: what it reads or writes once, at most. */
  readonly boundBytes: number;
  /** Bytes copied by the queue or by encoders: uploads, downloads and copies between buffers. */
  readonly copiedBytes: number;
  /** Bytes of buffers alive now, and the most at once since the last reset. */
  readonly liveBytes: number;
  readonly peakBytes: number;
}

export interface SideReport {
  readonly reading: Reading;
  readonly output: readonly number[];
  /** Seconds until the first output, and of the fastest of the runs after it. */
  readonly firstSeconds: number;
  readonly bestSeconds: number;
}
