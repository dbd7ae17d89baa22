// Names from files in messages and comments: whatever they hold, one short line of harmless characters.

const longest = 80;

/** A name in quotes, with control characters escaped, cut where it is long. */
export function shown(name: string): string {
  return JSON.stringify(name.length > longest ? `${name.slice(0, longest)}…` : name).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A name that may stand in a comment of any language: letters, digits and `_ . / : -`. */
export function plain(name: string): string {
  return name.slice(0, longest).replace(/[^\w./:-]|\/(?=\/|\*)/g, '_');
}
