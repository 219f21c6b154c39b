import { beforeEach, expect, test } from 'vitest';

import { overwriteGetLocale } from '@/paraglide/runtime.js';
import * as units from './units';

beforeEach(() => overwriteGetLocale(() => 'en'));

test('what is absent is a dash, and nothing is a zero', () => {
  for (const write of [units.ms, units.msBare, units.fps, units.mbps, units.percent, units.bytes]) {
    for (const absent of [null, undefined, NaN]) expect(write(absent)).toBe('–');
    expect(write(0)).toMatch(/^0/);
  }
  expect(units.size(null, 180)).toBe('–');
});

test('durations have as many digits as count', () => {
  expect(units.ms(420)).toBe('0.42 ms');
  expect(units.ms(45_900)).toBe('45.9 ms');
  expect(units.ms(120_400)).toBe('120 ms');
});

test('figures are written in the language of the page', () => {
  overwriteGetLocale(() => 'de');
  expect(units.ms(5800)).toBe('5,80 ms');
  expect(units.count(10_800)).toBe('10.800');
  expect(units.clockTenths(61_450)).toBe('1:01,4');
  expect(units.percent(0.155)).toBe('16\u00a0%');
});

test('clocks show hours only if there are any, and never go below zero', () => {
  expect(units.clock(0)).toBe('0:00');
  expect(units.clock(61_999)).toBe('1:01');
  expect(units.clock(3_723_000)).toBe('1:02:03');
  expect(units.clock(-5)).toBe('0:00');
});

test('a share is not rounded to nothing or to everything', () => {
  const shares = [0, 0.0004, 0.0123, 0.0996, 0.5, 0.994, 0.9994, 1, 1.2];
  expect(shares.map(units.percent)).toEqual([
    '0%',
    '< 0.1%',
    '1.2%',
    '10%',
    '50%',
    '99%',
    '> 99%',
    '100%',
    '120%',
  ]);
});

test('differences carry their sign', () => {
  expect(units.signed(-3100, units.ms)).toBe('−3.10 ms');
  expect(units.signed(300, units.ms)).toBe('+0.30 ms');
  expect(units.signed(0, units.ms)).toBe('±0.00 ms');
});
