# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines of qemu-img and qemu-io that have to answer as stock 7.2 does: output, messages, exit status.

Each line is one invocation, in a folder with the images that images() makes. What stands before '|' says where the two
may differ: 'err' the text of messages, 'out' the output; the exit status is the same in any case, but for 'status'.
Blanks separate arguments; %20 is a blank within one.
"""

IMG = r'''
create -f raw x 1M
create x 1M
create -f raw -o help
create -f raw -o help x
create -f bogus x 1
create -f raw x
create -f raw x 1M 2M
create -f raw -o size=1M x
create -f raw -o size=1M x 2M
create -f raw -o foo=bar x 1M
create -f raw -o foo x 1M
create -q -f raw x 1M
create -f raw -o preallocation=full x 1M
err | create -f raw -o preallocation=x x 1M
create -f raw -o preallocation=metadata x 1M
create -f raw -b y x 1M
create -f raw -F y x 1M
create -f raw /nosuch/x 1M
create -f raw /etc 1M
create -f raw x 1Z
create -f raw x 1.5k
create -f raw x 0x1000
create -f raw x -5
err | create -f raw x 9223372036854775807
create -f raw x 9223372036854775808
create -f raw x 18446744073709551616
err | create -f raw x 8191P
create -f raw x 0
create -f raw x 513
create -f file x 1M
create -z
create --bogus
create -f
create -o ,a x 1M
create -o a, x 1M
create -o size=-1 x
create
create -f qcow2 x 1M
create -f qcow2 -o cluster_size=1k,lazy_refcounts=on x 1M
create -f qcow2 -o cluster_size=1 x 1M
create -f qcow2 -b a.raw -F raw x
create -f qcow2 -b a.raw x
create -f qcow2 -b nosuch -F raw x
create -f qcow2 -u -b nosuch -F raw x
create -f qcow2 -u -b nosuch -F raw x 1M
create -f qcow2 -u -b nosuch x 1M
create -f qcow2 -b x -F qcow2 x 5M
create -f qcow2 -o size=1M,backing_file=a.raw,backing_fmt=raw x
create -f qcow2 -F raw x 1M
create -f qcow2 -b json:{"driver":"raw","file":{"driver":"file","filename":"a.raw"}} -F raw x
create -f qcow2 -o compat=0.10 x 1M
create -f qcow2 -o compression_type=zstd x 1M
create -f qcow2 -o extended_l2=on x 1M
create -f qcow2 -o refcount_bits=3 x 1M
err | create -f qcow2 -o encryption=on x 1M
out | create -f vdi -o help
create -f vdi x 3M
create -f vdi -o static=on x 3M
info a.raw
info --output=json a.raw
info -f bogus a.raw
info nosuch
info --output=x a.raw
info -U a.raw
info --image-opts driver=raw,file.filename=a.raw
info --image-opts a.raw
info a b
info json:{"driver":"raw","file":{"driver":"file","filename":"a.raw"}}
info null-co://
info --image-opts -f raw driver=raw
info /etc
info
info base.qcow2
info --output=json base.qcow2
info --backing-chain top.qcow2
info --output=json --backing-chain top.qcow2
info over.qcow2
info lost.qcow2
info --backing-chain lost.qcow2
info snap.qcow2
info --output=json snap.qcow2
info -f qcow2 a.raw
info disk.vdi
info --output=json disk.vdi
map a.raw
map --output=json a.raw
map --start-offset=1M --max-length=64k a.raw
map -s 1M a.raw
map --start-offset=4M a.raw
map --start-offset=-1 a.raw
map --max-length=x a.raw
map --output=json --start-offset=1000 --max-length=1000000 a.raw
map
map a b
map --output=x a.raw
map -f bogus a.raw
map base.qcow2
map --output=json base.qcow2
map top.qcow2
map --output=json top.qcow2
map over.qcow2
map packed.qcow2
map --output=json packed.qcow2
out | map disk.vdi
out | map --output=json disk.vdi
compare a.raw same.raw
compare -q a.raw other.raw
compare a.raw other.raw
compare a.raw nosuch
compare nosuch a.raw
compare a.raw
compare a b c
compare a.raw longer.raw
compare longer.raw a.raw
compare -s longer.raw a.raw
compare longer2.raw a.raw
compare a.raw longer2.raw
compare -s a.raw a.raw
compare -f bogus a.raw a.raw
compare -F bogus a.raw a.raw
compare -T none a.raw a.raw
compare -T bogus a.raw a.raw
compare -U a.raw a.raw
compare -z
compare --image-opts driver=raw,file.filename=a.raw driver=raw,file.filename=same.raw
compare --image-opts -f raw a b
compare a.raw base.qcow2
compare -s a.raw base.qcow2
compare a.raw packed.qcow2
compare top.qcow2 mid.qcow2
convert
convert a.raw
convert a.raw x
convert -O bogus a.raw x
convert -f bogus a.raw x
convert nosuch x
convert a.raw /nosuch/x
convert -c a.raw x
convert -m 0 a.raw x
convert -m 17 a.raw x
convert -m x a.raw x
convert -W a.raw x
convert -S 1 a.raw x
convert -S 0 a.raw x
convert -S x a.raw x
convert -S 512 a.raw x
convert -t bogus a.raw x
convert -T bogus a.raw x
convert -n a.raw nosuch2
convert -n a.raw small.raw
convert -n a.raw other.raw
convert -n -o size=1 a.raw x
convert -o help a.raw x
convert -B a.raw -O raw a.raw x
err | convert -l s1 a.raw x
convert -r x a.raw x
convert -r 1G a.raw x
convert -r 9E a.raw x
convert -C a.raw x
convert -C -S 4k a.raw x
convert --bitmaps a.raw x
convert --target-is-zero a.raw x
convert -n --target-is-zero a.raw other.raw
convert --salvage a.raw x
convert a.raw longer.raw x
convert a.raw a.raw
convert --image-opts driver=raw,file.filename=a.raw x
convert --target-image-opts a.raw driver=raw,file.filename=x
convert -n --target-image-opts a.raw driver=raw,file.filename=other.raw
convert -n --target-image-opts -O raw a.raw driver=raw,file.filename=other.raw
convert -q a.raw x
convert -6 a.raw x
convert -U a.raw x
convert -O raw a.raw /etc
convert -o size=1M a.raw x
convert -o preallocation=metadata a.raw x
convert -O qcow2 a.raw x
convert -c -O qcow2 a.raw x
convert -O qcow2 -o cluster_size=1 a.raw x
convert -B a.raw -O qcow2 a.raw x
convert -B a.raw -F raw -O qcow2 a.raw x
convert -B nosuch -F raw -O qcow2 a.raw x
convert -l s1 -O raw snap.qcow2 x
err | convert -l nosuch -O raw snap.qcow2 x
convert -l snapshot.name=s1 -O raw snap.qcow2 x
convert -c -C -O qcow2 a.raw x
convert -B a.raw -F raw -O qcow2 a.raw over.qcow2 x
convert -n -O qcow2 a.raw empty.qcow2
convert top.qcow2 x
convert -O vdi a.raw x
convert -O vdi -c a.raw x
convert disk.vdi x
check a.raw
check -r a.raw
check nosuch
check
check a b
check -T bogus a.raw
check --output=x a.raw
check --output=json a.raw
check base.qcow2
check --output=json base.qcow2
check -r all base.qcow2
check -q base.qcow2
check -U -r all base.qcow2
check packed.qcow2
check --output=json packed.qcow2
check leak.qcow2
check --output=json leak.qcow2
err | check -r leaks leak.qcow2
check -q leak.qcow2
check disk.vdi
check --output=json disk.vdi
resize a.raw 4M
resize -f raw a.raw 5M
resize -f raw a.raw +1M
resize -f raw a.raw -1M
resize -f raw --shrink a.raw -1M
resize -f raw --shrink a.raw -- -10M
resize -f raw a.raw
resize
resize -f raw a.raw x
resize -q -f raw a.raw +512
resize -f raw --preallocation=full a.raw +1M
resize -f raw --preallocation=x a.raw +1M
resize -f raw --preallocation=metadata a.raw +1M
resize --shrink -f raw --preallocation=full a.raw 1M
resize nosuch 1M
err | resize -f raw a.raw 9223372036854775807
resize -f raw a.raw 1 2
resize -f raw a.raw 0
resize -f raw --shrink a.raw +0
resize base.qcow2 5M
resize --shrink base.qcow2 2M
resize base.qcow2 5000
resize --preallocation=full base.qcow2 +1M
resize --shrink snap.qcow2 1M
snapshot base.qcow2
snapshot -l snap.qcow2
snapshot -c s1 base.qcow2
snapshot -a s1 snap.qcow2
snapshot -a nosuch snap.qcow2
snapshot -d s1 snap.qcow2
snapshot -d nosuch snap.qcow2
snapshot -c x -d y a.raw
snapshot -f raw -c x a.raw
snapshot -c x a.raw
snapshot
snapshot -l nosuch
snapshot -U -l snap.qcow2
snapshot -U -c z snap.qcow2
measure --size 1M
measure -O raw a.raw
measure --output=json a.raw
measure -O bogus a.raw
measure
measure --size 1M a.raw
measure --size x
measure a b
measure nosuch
measure -O raw -o foo=bar --size 1G
measure -O raw -o help
measure --output=x a.raw
measure --size 1M --image-opts
measure -f raw
measure --size 1M -O qcow2
measure -O qcow2 a.raw
measure --output=json -O qcow2 base.qcow2
measure -O qcow2 -o cluster_size=1k --size 1G
measure -O qcow2 -o preallocation=full a.raw
measure -O qcow2 top.qcow2
measure -l s1 snap.qcow2
dd if=a.raw of=x
dd if=a.raw of=x bs=1M count=1
dd if=a.raw of=x bs=1M skip=1
dd if=a.raw of=x bs=1M skip=5
dd
dd if=a.raw
dd if=a.raw of=x bs=0
dd if=a.raw of=x bs=x
dd if=a.raw of=x count=x
dd if=a.raw of=x skip=x
dd if=a.raw of=x foo=1
dd -O bogus if=a.raw of=x
dd -f bogus if=a.raw of=x
dd if=nosuch of=x
dd if=a.raw of=/nosuch/x
dd if=a.raw of=x bs=3G
dd if=a.raw of=x bs=512 count=0
dd if=a.raw of=x bs=1000 count=2
dd --image-opts if=driver=raw,file.filename=a.raw of=x
dd if=a.raw of=x isize=1
dd -O qcow2 if=a.raw of=x
bench -f raw -c 100 a.raw
bench -f raw -c 10 -d 1 a.raw
bench -f raw -c 10 -w a.raw
bench -f raw -c 10 -w --flush-interval=2 a.raw
bench -f raw -c 10 -w --flush-interval=2 --no-drain -d 2 a.raw
bench -f raw -c 10 -w --flush-interval=2 -d 2 a.raw
bench -f raw -c 10 --flush-interval=2 a.raw
bench -f raw -c x a.raw
bench -f raw -c 5 --pattern=256 -w a.raw
bench -f raw -c 5 -o 1M -s 64k -S 128k a.raw
bench -f raw -c 5 -s x a.raw
bench -f raw -c 5 -n a.raw
bench -f raw -c 5 -i x a.raw
bench -f raw -c 5 -t x a.raw
bench
bench nosuch
bench -f raw -c 1 -o 10M a.raw
bench -U -w -f raw -c 1 a.raw
bench -c 100 -w top.qcow2
commit top.qcow2
commit mid.qcow2
commit -d top.qcow2
commit -b base.qcow2 top.qcow2
commit -b nosuch top.qcow2
commit base.qcow2
commit a.raw
commit -t bogus top.qcow2
commit -r x top.qcow2
commit
commit nosuch
commit over.qcow2
rebase -b base.qcow2 -F qcow2 top.qcow2
rebase -u -b nosuch -F raw top.qcow2
rebase -b base.qcow2 top.qcow2
rebase top.qcow2
rebase -b nosuch -F raw top.qcow2
rebase -b empty.qcow2 -F qcow2 top.qcow2
rebase -F bogus -b base.qcow2 top.qcow2
rebase -t x -b base.qcow2 -F qcow2 top.qcow2
rebase -T x -b base.qcow2 -F qcow2 top.qcow2
rebase -b base.qcow2
rebase -f raw -b a.raw -F raw other.raw
rebase -b top.qcow2 -F qcow2 top.qcow2
rebase -u top.qcow2
rebase -b base.qcow2 -F qcow2 lost.qcow2
amend -o compat=0.10 top.qcow2
amend -o foo=bar top.qcow2
amend top.qcow2
amend -o size=5M top.qcow2
amend -q -o lazy_refcounts=off top.qcow2
amend -o cluster_size=1M top.qcow2
amend -o backing_file=base.qcow2 top.qcow2
amend -o refcount_bits=1 top.qcow2
amend -o x=y a.raw
amend -f raw -o help
amend -t x -o size=1 top.qcow2
amend
err | bitmap --add a.raw b0
bitmap a.raw b0
bitmap --add a.raw
bitmap --add nosuch b
bitmap -b x --add a.raw b
bitmap -g 64k --remove a.raw b0
bitmap -F raw --add a.raw b9
bogus
-z
'''

# Each line is one -c command on a.raw, except that a line with '&' is several of them.
IO = r'''
help%20x
help
sleep%20x
sleep
sleep%20-1
break%20bad%20A
resume%20A
remove_break%20A
alloc%20x
alloc%200%20x
alloc%201
alloc%200%201M & alloc%200%205M & alloc%204M & map
alloc
map%20x
read%20--%200%20-1
read%200%201e2
read%200%200x10
read%200%201.5k
read%200%201.5
read%200%201kk
read%200%20+1
read%200%20.5k
read%208E%201
read%207E%201
read%200%203G
read%200%209E
read%20-Z%200%201
read%20-P%20256%200%201
read%20-P%208%200%201
read%20-P%208
read%200%201%202
read%20-v%200%2020
read%20-s%201%200%201
read%20-P%200%20-s%202%200%201
read%20-P%200%20-l%2010%200%2020
read%20-P%201%20-s%2010%20-l%2010%200%2020
read%20-C%200%2064k
read%20-q%200%2064k
read%200
read%205M%20512
truncate%208E
truncate%20x
truncate%201 & length
truncate%20-m%20metadata%204M
truncate%20-m%20full%204M & length
truncate%20-m%20x%201M
truncate
discard%200%203G
discard%200%2064k & read%20-P%200%200%2064k
discard%205M%2064k
flush & flush%20x
length & info & l & i
quit & bogus
bogus & quit
sigraise%200
sigraise
sigraise%2099
write%20-P%200xa%200%201k & read%20-P%2010%200%201k
write%20-zP0%200%201
write%20-s%20/dev/null%200%201
write%20-s%20nosuch%200%201
write%20-s%20small.raw%200%201k & read%20-P%200%200%201k
write%20-z%200%2064k & write%20-zu%200%2064k & write%20-zn%200%2064k & read%20-P%200%200%2064k
write%20-z%200%203G
write%20-u%200%201 & write%20-n%200%201
write%20-f%200%2064k
write%20-b%200%2064k & read%20-b%200%2064k & write%20-c%200%2064k
write%20-bz%200%201 & write%20-bf%200%201 & write%20-cf%200%201
write%205M%201
writev%200%20512%201k & readv%200%201k%20512 & readv%20-v%200%208%208
writev%20-P%20x%200%201
writev%205M%201
readv%20-P%201
readv%200%201G%202G
aio_write%20-P%207%200%2064k & aio_flush & aio_read%20-P%207%200%2064k & aio_flush
aio_read%20-P%201%200%2064k & aio_flush
aio_read%20-i%200%201 & aio_write%20-i%200%201
aio_write%20-u%200%2064k
aio_write%20-z%200%2064k%2064k
aio_read%205M%2064k
aio_write%205M%2064k
open%20x
close & length & open%20-o%20driver=raw%20a.raw & length
reopen%20-r & write%200%201 & reopen%20-w & write%200%201
reopen%20-c%20x
reopen%20-o%20x=y
reopen%20-r%20-w
reopen%20-o%20driver=qcow2
reopen%20-o%20read-only=on%20-r
reopen%20-o%20cache.direct=on%20-c%20none
reopen%20x
reopen%20-z
'''

# Whole command lines of qemu-io.
IO_LINES = r'''
-c length
-c read
-c open
-c open%20-r
-c open%20-z
-f bogus a.raw -c length
nosuch
-f qcow2 a.raw
--image-opts driver=raw,file.filename=a.raw -c length -c info
--image-opts -f raw driver=raw -c length
--image-opts a.raw
--image-opts driver=raw,file.filename=a.raw,foo=bar
json:{"driver":"raw","file":{"driver":"file","filename":"a.raw"}} -c length
json:{"driver":"raw","file":
json:[]
json:{}
driver:foo -c length
a.raw -c length
-r a.raw -c length
-r -f raw a.raw -c write%200%20512 -c writev%200%20512 -c aio_write%200%20512 -c discard%200%20512 -c truncate%204M
-U -f raw a.raw -c length
-rU -f raw a.raw -c length
-k -f raw a.raw -c length
-t none -f raw a.raw -c write%200%204k -c read%200%201
-t writethrough -f raw a.raw -c write%200%204k
-t bogus a.raw
-d bogus a.raw
-i bogus a.raw
-m -n -f raw a.raw -c write%20-P%203%207%209 -c read%20-v%200%2032
-C -f raw a.raw -c length
-rC -f raw a.raw -c length
-s -f raw a.raw -c write%200%201k -c map -c length
base.qcow2 -c info -c map -c alloc%200%201M -c write%20-c%20128k%2064k -c map
base.qcow2 -c write%20-b%200%201k -c read%20-b%200%201k -c read%20-P%201%200%2064k
top.qcow2 -c map -c read%20-P%201%200%2064k -c read%20-P%203%2064k%2064k
-C top.qcow2 -c read%200%2064k -c map
disk.vdi -c info -c map -c alloc%200%203M
-f raw blkdebug::a.raw -c break%20write_aio%20A -c aio_write%200%2064k -c wait_break%20A -c resume%20A -c aio_flush
-f raw blkdebug::a.raw -c break%20bad%20A -c resume%20A -c remove_break%20A
'''
