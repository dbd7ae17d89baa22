// A function of generated code that expressions may call, as text, with the names of those that it calls in turn.

export interface HelperText {
  readonly text: string;
  readonly needs: readonly string[];
}

export type Helpers = Readonly<Record<string, HelperText>>;

/** Texts of the helpers and of all they need, each after what it needs. */
export function helperTexts(used: Iterable<string>, textOf: (name: string) => HelperText): string[] {
  const done = new Set<string>();
  const texts: string[] = [];
  const visit = (name: string): void => {
    if (done.has(name)) return;
    done.add(name);
    const { text, needs } = textOf(name);
    needs.forEach(visit);
    texts.push(text);
  };
  [...used].sort().forEach(visit);
  return texts;
}
