import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import ts from 'typescript';
import * as errors from '../../lib/errors.js';
import * as index from '../../lib/index.js';
import * as nn from '../../lib/nn/index.js';
import * as ops from '../../lib/ops/index.js';

const lib = fileURLToPath(new URL('../../lib/', import.meta.url));
const entry = join(lib, 'index.ts');

/** `owner → type` for each of our types that the declaration of an exported thing names and that is not exported. */
function missingTypes(): string[] {
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const resolve = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`Expected a module at ${entry}`);
  const exported = new Set(checker.getExportsOfModule(module).map(resolve));

  const missing = new Set<string>();
  const visit = (node: ts.Node, owner: string): void => {
    if (isHidden(node) || ts.isBlock(node)) return;
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : undefined;
    const symbol = name && checker.getSymbolAtLocation(name);
    if (symbol !== undefined) {
      const type = resolve(symbol);
      const isOurs = type.declarations?.[0]?.getSourceFile().fileName.startsWith(lib);
      const isParameter = type.flags & ts.SymbolFlags.TypeParameter;
      if (isOurs && !isParameter && !exported.has(type)) missing.add(`${owner} → ${type.name}`);
    }
    ts.forEachChild(node, (child) => visit(child, owner));
  };
  for (const symbol of exported) for (const node of symbol.declarations ?? []) visit(node, symbol.name);
  return [...missing].sort();
}

function isHidden(node: ts.Node): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return (
    (modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.PrivateKeyword) ?? false) ||
    (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)) ||
    ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal')
  );
}

describe('exports', () => {
  it('include every type that their declarations name', () => {
    expect(missingTypes()).to.deep.equal([]);
  });

  it('include every class of errors, and none of the helpers beside them', () => {
    const classes = Object.entries(errors).filter(
      ([, value]) => value === errors.NodeCudnnError || value.prototype instanceof errors.NodeCudnnError,
    );
    expect(classes).to.have.length.above(10);
    expect(index).to.include(Object.fromEntries(classes));
    expect(index).not.to.have.any.keys('expected', 'reasonOf');
  });

  it('are all in the table of README that has them: operations, layers, optimizers', () => {
    const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
    const rows = new Map(
      [...readme.matchAll(/^\| (operations|layers|training) \| (.*) \|$/gm)].map(([, name, row]) => [
        name,
        row,
      ]),
    );
    const named = (row: string): string[] =>
      [...(rows.get(row) ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name ?? '');
    const layers = Object.entries(nn).filter(
      ([, value]) => value === nn.Module || value.prototype instanceof nn.Module,
    );
    expect(named('operations')).to.have.members(Object.keys(ops));
    expect(named('layers')).to.have.members(layers.map(([name]) => name));
    expect(named('training')).to.include.members(['SGD', 'Adam', 'Trainer']);
    expect(Object.keys(index)).to.include.members([
      ...named('operations'),
      ...named('layers'),
      ...named('training'),
    ]);
  });
});
