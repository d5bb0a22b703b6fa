#include "textflag.h"

// func sumBlocks(b []byte) uint64
//
// SSE2, which every amd64 has. Each 16 bytes are four words of 32 bits, which the two unpacks make 64 bits wide.
TEXT ·sumBlocks(SB), NOSPLIT, $0-32
	MOVQ b_base+0(FP), AX
	MOVQ b_len+8(FP), CX
	PXOR X8, X8 // the zeros that widen
	PXOR X9, X9 // four sums of two
	PXOR X10, X10
	PXOR X11, X11
	PXOR X12, X12
block:
	MOVOU (AX), X0
	MOVOU 16(AX), X1
	MOVOU 32(AX), X2
	MOVOU 48(AX), X3
	MOVO X0, X4
	MOVO X1, X5
	MOVO X2, X6
	MOVO X3, X7
	PUNPCKLLQ X8, X0
	PUNPCKHLQ X8, X4
	PUNPCKLLQ X8, X1
	PUNPCKHLQ X8, X5
	PUNPCKLLQ X8, X2
	PUNPCKHLQ X8, X6
	PUNPCKLLQ X8, X3
	PUNPCKHLQ X8, X7
	PADDQ X0, X9
	PADDQ X4, X10
	PADDQ X1, X11
	PADDQ X5, X12
	PADDQ X2, X9
	PADDQ X6, X10
	PADDQ X3, X11
	PADDQ X7, X12
	ADDQ $64, AX
	SUBQ $64, CX
	JGT block
	PADDQ X10, X9
	PADDQ X12, X11
	PADDQ X11, X9
	MOVQ X9, AX
	PSRLO $8, X9
	MOVQ X9, CX
	ADDQ CX, AX
	MOVQ AX, ret+24(FP)
	RET
