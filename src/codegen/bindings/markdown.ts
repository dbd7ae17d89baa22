// Users' text in the pages of exported folders.

import { toComment } from '../names.ts';

/** A user's text between backquotes, where it can end neither them nor the table's cell. */
export const inCode = (text: string): string => `\`${toComment(text).replace(/[`|]/g, "'")}\``;
