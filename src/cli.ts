#!/usr/bin/env node
// The command `ashlar`. Models that it loads get this very package, wherever they lie.

import { extname } from 'node:path';
import { main } from './cli/main.ts';

/** This package's other entries lie beside this one, as sources or built. */
const entry = (name: string): string => new URL(`./${name}${extname(import.meta.url)}`, import.meta.url).href;

process.exitCode = await main(process.argv.slice(2), { ashlar: entry('index'), 'ashlar/node': entry('node') });
