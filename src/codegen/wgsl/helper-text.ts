// A WGSL function that expressions may call, as text, with the names of those it calls in turn.

export interface HelperText {
  readonly text: string;
  readonly needs: readonly string[];
}

export type Helpers = Readonly<Record<string, HelperText>>;
