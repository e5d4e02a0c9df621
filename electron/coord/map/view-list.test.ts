import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeView } from './node-view.ts'
import { ViewList } from './view-list.ts'

const view = (id: number, text: string): NodeView => ({
  id: id,
  userId: 1,
  fixed: {},
  live: {},
  text,
  fixedText: text,
  served: { subnets: [], exits: [], standby: [] },
  variants: new Map(),
})

test('does what a map would do, in the order of the ids', () => {
  const id = fc.integer({ min: 1, max: 12 })
  const step = fc.oneof(
    fc.record({ type: fc.constant('set' as const), id, text: fc.string() }),
    fc.record({ type: fc.constant('delete' as const), id }),
    fc.record({ type: fc.constant('replaceAll' as const), ids: fc.uniqueArray(id) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const list = new ViewList()
      let model = new Map<number, NodeView>()
      for (const one of steps) {
        if (one.type === 'set') {
          const added = view(one.id, one.text)
          list.set(added)
          model.set(one.id, added)
        } else if (one.type === 'delete') assert.equal(list.delete(one.id), model.delete(one.id))
        else {
          const views = one.ids.map((each) => view(each, 'filled'))
          list.replaceAll(views)
          model = new Map(views.map((each) => [each.id, each]))
        }
        assert.deepEqual(
          [...list.ids()],
          [...model.keys()].toSorted((a, b) => a - b),
        )
        assert.equal(list.size, model.size)
        for (let each = 0; each <= 13; each++) assert.equal(list.get(each), model.get(each))
      }
    }),
  )
})
