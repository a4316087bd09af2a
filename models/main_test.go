package models

import (
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
)

func TestMain(m *testing.M) { testmodel.Main(m) }
