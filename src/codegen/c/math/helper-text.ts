// A C function that expressions may call, as text, with the names of those it calls in turn.

export interface HelperText {
  readonly text: string;
  readonly needs: readonly string[];
}
