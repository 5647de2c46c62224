package auth

import "slices"

// parser reduces words to one check as soon as it can, which makes `not` bind
// tightest, then `and`, then `or`. It is oslo.policy's own algorithm, so that
// whatever it makes of an odd rule, we make of it too.
type parser struct {
	kinds  []kind
	values []check
}

// reductions, by what the stack of words must end in.
var reductions = []struct {
	end    []kind
	reduce func(v []check) (kind, check)
}{
	{[]kind{kindOpen, kindCheck, kindClose}, unwrap},
	{[]kind{kindOpen, kindAndExpr, kindClose}, unwrap},
	{[]kind{kindOpen, kindOrExpr, kindClose}, unwrap},
	{[]kind{kindCheck, kindAnd, kindCheck}, makeAnd},
	{[]kind{kindOrExpr, kindAnd, kindCheck}, mixOrAnd},
	{[]kind{kindAndExpr, kindAnd, kindCheck}, extendAnd},
	{[]kind{kindCheck, kindOr, kindCheck}, makeOr},
	{[]kind{kindAndExpr, kindOr, kindCheck}, makeOr},
	{[]kind{kindOrExpr, kindOr, kindCheck}, extendOr},
	{[]kind{kindNot, kindCheck}, makeNot},
}

func (p *parser) shift(k kind, c check) {
	p.kinds, p.values = append(p.kinds, k), append(p.values, c)
	for p.reduceOnce() {
	}
}

func (p *parser) reduceOnce() bool {
	for _, r := range reductions {
		rest := len(p.kinds) - len(r.end)
		if rest < 0 || !slices.Equal(p.kinds[rest:], r.end) {
			continue
		}
		k, c := r.reduce(p.values[rest:])
		p.kinds, p.values = append(p.kinds[:rest], k), append(p.values[:rest], c)
		return true
	}
	return false
}

func unwrap(v []check) (kind, check)  { return kindCheck, v[1] }
func makeNot(v []check) (kind, check) { return kindCheck, notCheck{v[1]} }

func makeAnd(v []check) (kind, check) {
	return kindAndExpr, &andCheck{all: []check{v[0], v[2]}}
}

func extendAnd(v []check) (kind, check) {
	c := v[0].(*andCheck)
	c.all = append(c.all, v[2])
	return kindAndExpr, c
}

func makeOr(v []check) (kind, check) {
	return kindOrExpr, &orCheck{any: []check{v[0], v[2]}}
}

func extendOr(v []check) (kind, check) {
	c := v[0].(*orCheck)
	c.any = append(c.any, v[2])
	return kindOrExpr, c
}

// mixOrAnd is `a or b and c`: the `and` takes b away from the `or`.
func mixOrAnd(v []check) (kind, check) {
	c := v[0].(*orCheck)
	last := len(c.any) - 1
	if and, ok := c.any[last].(*andCheck); ok {
		and.all = append(and.all, v[2])
	} else {
		c.any[last] = &andCheck{all: []check{c.any[last], v[2]}}
	}
	return kindOrExpr, c
}
